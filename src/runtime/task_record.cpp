// SPDX-License-Identifier: Apache-2.0
#include "runtime/task_record.hpp"

#include <string>

namespace mobula::runtime {

bool only_placed(const detail::Task& task) noexcept {
    const graph::TaskExtra& extra = *task.extra;
    const TaskOptions& options = extra.options;
    return !extra.demands && options.placement.kind != Placement::Kind::automatic &&
           options.name.empty() && options.priority == 0 && !options.retry_exceptions &&
           !task.info->stream && task.actor == nullptr;
}

void write_extra(const graph::TaskExtra& extra, wire::RecordWriter& record) {
    const TaskOptions& options = extra.options;
    record.text(options.name)
        .put(static_cast<std::int32_t>(options.priority))
        .put(static_cast<std::int32_t>(options.max_retries))
        .put(static_cast<std::uint8_t>(options.retry_exceptions))
        .put(static_cast<std::uint64_t>(options.stream_window))
        .put(static_cast<std::uint32_t>(extra.max_concurrency))
        .put(options.placement.kind)
        .put(static_cast<std::uint32_t>(options.placement.target))
        .put(static_cast<std::uint8_t>(options.placement.hard))
        .put(options.placement.group)
        .put(static_cast<std::uint8_t>(extra.demands))
        .put(options.cpus)
        .put(options.gpus)
        .put(static_cast<std::uint32_t>(options.resources.size()));
    for (const auto& [name, amount] : options.resources) record.text(name).put(amount);
}

std::unique_ptr<graph::TaskExtra> read_extra(wire::RecordReader& reader) {
    auto extra = std::make_unique<graph::TaskExtra>();
    TaskOptions& options = extra->options;
    options.name = reader.text();
    options.priority = reader.get<std::int32_t>();
    options.max_retries = reader.get<std::int32_t>();
    options.retry_exceptions = reader.get<std::uint8_t>() != 0;
    options.stream_window = reader.get<std::uint64_t>();
    extra->max_concurrency = reader.get<std::uint32_t>();
    if (options.stream_window == 0 || extra->max_concurrency == 0) {
        throw Error("a record lets a task have nothing under way");
    }
    options.placement.kind = reader.get<Placement::Kind>();
    if (options.placement.kind > Placement::Kind::bundle) {
        throw Error("a record places a task in no known way");
    }
    options.placement.target = reader.get<std::uint32_t>();
    options.placement.hard = reader.get<std::uint8_t>() != 0;
    options.placement.group = reader.get<std::uint64_t>();
    extra->demands = reader.get<std::uint8_t>() != 0;
    options.cpus = reader.get<double>();
    options.gpus = reader.get<double>();
    for (std::uint32_t left = reader.count(sizeof(std::uint32_t) + sizeof(double)); left != 0;
         --left) {
        const std::string name(reader.text());
        options.resources[name] = reader.get<double>();
    }
    return extra;
}

}  // namespace mobula::runtime
