// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "graph/task.hpp"
#include "wire/messages.hpp"

/// What the writer and the reader of records about tasks share; wire/format.md has the fields.
namespace mobula::runtime {

/// Whether the rank that runs the task needs to know no more of it than that it was placed there.
[[nodiscard]] bool only_placed(const detail::Task& task) noexcept;
/// The options with which a task or an actor was made, as far as the rank that runs it needs them.
void write_extra(const graph::TaskExtra& extra, wire::RecordWriter& record);
/// Throws Error on what no write_extra() has written.
[[nodiscard]] std::unique_ptr<graph::TaskExtra> read_extra(wire::RecordReader& reader);

}  // namespace mobula::runtime
