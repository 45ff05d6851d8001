// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "graph/task.hpp"
#include "wire/record.hpp"

/// What the writer and the reader of records about tasks share; wire/format.md has the fields.
namespace mobula::runtime {

/// Of a task: what follows its head. A plain enum, because they are added up.
enum TaskFlags : std::uint32_t {
    has_options = 1,
    plain_arguments = 2,
    bound = 4,       ///< instead of options that only say that it must run there
    near_bytes = 8,  ///< it is bound just because its input bytes are there
};

/// What every task's record begins with.
struct TaskHead {
    std::uint32_t function = 0;  ///< in the table of functions
    std::uint32_t flags = 0;
    TaskKey key{};
};

/// How a result comes back.
enum class ResultForm : std::uint8_t {
    plain,    ///< the bytes of its type
    encoded,  ///< as arguments are
    located,  ///< it stays where it was made
    failed,   ///< all results of the task have
};

/// What every result's record begins with.
struct ResultHead {
    TaskKey key{};
    std::uint32_t run_ns = 0;
    std::uint16_t number = 0;  ///< which of the task's results
    ResultForm form = ResultForm::plain;
    std::uint8_t unused = 0;
};

static_assert(sizeof(TaskHead) == 16 && sizeof(ResultHead) == 16, "no hole travels");

/// Whether the rank that runs the task needs to know no more of it than that it was placed there.
[[nodiscard]] bool only_placed(const detail::Task& task) noexcept;
/// The options with which a task or an actor was made, as far as the rank that runs it needs them.
void write_extra(const graph::TaskExtra& extra, wire::RecordWriter& record);
/// Throws Error on what no write_extra() has written.
[[nodiscard]] std::unique_ptr<graph::TaskExtra> read_extra(wire::RecordReader& reader);

}  // namespace mobula::runtime
