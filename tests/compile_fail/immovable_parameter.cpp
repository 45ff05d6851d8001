// SPDX-License-Identifier: Apache-2.0
// expect: mobula: a parameter of this function cannot travel
#include <mobula/mobula.hpp>

struct Pinned {
    Pinned() = default;
    Pinned(Pinned&&) = delete;
    template <class Archive>
    void serialize(Archive&) {}
};
int look(const Pinned& pinned);
void submit(const mobula::Ref<Pinned>& ref) { mobula::remote<look>(ref); }
