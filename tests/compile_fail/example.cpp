// SPDX-License-Identifier: Apache-2.0
// expect: static assertion failed.*mobula leaps|static_assert failed.*mobula leaps
static_assert(sizeof(char) == 2, "mobula leaps");
