// SPDX-License-Identifier: Apache-2.0
#pragma once

// torch.h costs about 25 s per translation unit, hence precompiled.
#include <torch/torch.h>
