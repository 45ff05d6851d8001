// SPDX-License-Identifier: Apache-2.0
#include "runtime/waiting_inputs.hpp"

#include <array>
#include <cstddef>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "graph/promised.hpp"
#include "graph/task.hpp"
#include "runtime/task_mark.hpp"

namespace mobula::runtime {
namespace {

using detail::CellPtr;
using graph::Object;
using graph::Task;

/// The first inputs of a task that do not exist yet; copied under a spinlock, so without
/// allocation.
struct Missing {
    std::array<CellPtr, 16> objects;
    std::size_t count = 0;
};

/// The task that makes the object, if it waits for inputs. The object's lock keeps it meanwhile: no
/// task is freed that its results still name.
std::optional<TaskMark> waiting_maker(Object& object, Rank self, Missing& missing) {
    std::lock_guard guard(object.lock);
    Task* const task = object.producer;
    if (task == nullptr || graph::is_promised(object)) return {};
    // Calls and constructors of actors are in lists of their own.
    if (task->actor != nullptr || task->info->actor != nullptr) return {};
    if (task->phase.load() != Task::Phase::waiting) return {};
    task->info->visit(
        graph::arguments(*task),
        [](detail::Input& input, void* context) {
            Missing& found = *static_cast<Missing*>(context);
            Object& one = Object::of(*input.cell);
            if (found.count == found.objects.size() || graph::is_done(graph::state_of(one))) return;
            found.objects[found.count++] = CellPtr::share(one);
        },
        &missing);
    return TaskMark(*task, self);
}

}  // namespace

void list_waiting_inputs(Exchange& exchange, std::vector<CellPtr> objects,
                         std::vector<Waiting>& all) {
    std::set<std::string> listed;
    while (!objects.empty() && listed.size() < listed_max) {
        const CellPtr cell = std::move(objects.back());
        objects.pop_back();
        Missing missing;
        const auto mark = waiting_maker(Object::of(*cell), exchange.self(), missing);
        if (!mark || missing.count == 0 || !listed.insert(mark->key()).second) continue;
        Waiting& one = all.emplace_back();
        one.key = mark->key();
        one.name = mark->title();
        one.rank = static_cast<unsigned>(index(exchange.self()));
        one.state = "waits";
        for (std::size_t i = 0; i < missing.count; ++i) {
            one.targets.push_back(exchange.target_of(Object::of(*missing.objects[i])));
            objects.push_back(std::move(missing.objects[i]));
        }
    }
}

}  // namespace mobula::runtime
