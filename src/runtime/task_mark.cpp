// SPDX-License-Identifier: Apache-2.0
#include "runtime/task_mark.hpp"

namespace mobula::runtime {

TaskMark::TaskMark(const detail::Task& task, Rank self) noexcept
    : info_(task.info),
      address_(reinterpret_cast<std::uintptr_t>(&task)),
      key_(task.key),
      rank_(task.foreign ? task.where : self),
      between_ranks_(task.foreign || task.phase.load() == detail::Task::Phase::sent) {
    if (task.extra != nullptr) name_ = ShortText(task.extra->options.name);
}

std::string TaskMark::key() const {
    const std::string rank = std::to_string(index(rank_));
    if (!between_ranks_) return rank + "@" + std::to_string(address_);
    return rank + ":" + std::to_string(key_.slot) + ":" + std::to_string(key_.generation);
}

std::string TaskMark::name() const {
    return name_.view().empty() ? info_->name() : std::string(name_.view());
}

std::string TaskMark::title() const {
    if (info_->actor != nullptr) return name_.view().empty() ? name() : "actor " + name();
    return actor_.view().empty() ? name() : name() + " of actor " + std::string(actor_.view());
}

}  // namespace mobula::runtime
