// SPDX-License-Identifier: Apache-2.0
// expect: success
// A user's functions may be called as the engine's own, also where argument lookup finds them.
#include <mobula/mobula.hpp>

#include <memory>
#include <string>
#include <vector>

namespace own {

struct Model {
    std::string name;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(name);
    }
};

double weight_of(const Model&);
template <class W, class T>
int encode(W&, const T&);
template <class T, class... A>
T decode(A&&...);
template <class T, class... A>
T& make_task(A&&...);
template <class... A>
int get(const std::vector<mobula::Ref<Model>>&, A...);
template <class T, class... A>
int wait(const T&, A...);
template <class T>
int when_any(const T&);

Model change(Model model, const mobula::Actor<Model>& actor);

}  // namespace own

void submit(const mobula::Ref<own::Model>& ref, const mobula::Actor<own::Model>& actor) {
    mobula::remote<own::change>(own::Model{"a"}, actor);
    mobula::spawn<own::Model>(ref);
    mobula::put(own::Model{"b"});
    const std::vector<mobula::Ref<own::Model>> refs{ref};
    mobula::get(refs);
    mobula::when_any(refs);
    mobula::wait(refs);
    mobula::ActorPool<own::Model, own::Model> pool({actor});
    while (pool.next()) continue;
}
