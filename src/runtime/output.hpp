// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>

namespace mobula::runtime {

/// Takes what this process writes to stdout (fd 1, so also what C libraries and child processes
/// write there) and gives it to a callback line by line, while it lives. One at a time per process.
///
/// One thread empties the pipe that stands in for stdout, another one calls the callback, so that a
/// slow callback costs whoever prints nothing until queue_bytes_max are waiting. One that takes
/// nothing for `patience` then, or that throws, is given up: from there on all goes to the stdout
/// of before, so that nothing is lost and nobody waits for ever. What is still in the pipe when the
/// process ends by a signal or by _exit() is lost; call fall_back() before the latter.
class OutputCapture {
public:
    /// Gets one whole line without its end, in the order of writing.
    using Callback = std::function<void(std::string_view line)>;

    struct Limits {
        std::size_t line_bytes_max = std::size_t{1} << 18U;   ///< longer ones come in pieces
        std::size_t queue_bytes_max = std::size_t{1} << 20U;  ///< lines not yet called back for
        std::chrono::milliseconds patience{2000};
    };

    /// Begins. Throws std::system_error when there are no descriptors left.
    explicit OutputCapture(Callback callback);
    OutputCapture(Callback callback, Limits limits);
    OutputCapture(const OutputCapture&) = delete;
    OutputCapture& operator=(const OutputCapture&) = delete;
    /// As stop().
    ~OutputCapture();

    /// Whether something was printed since the last flush(), or is on its way to the callback. What
    /// goes past stdio (write(), child processes, std::cout without stdio) is seen only with
    /// `look_closely`, which costs a system call, and until the callback has returned. Thread-safe.
    [[nodiscard]] bool anything_new(bool look_closely) const noexcept;
    /// Returns when the callback has been called for all whole lines that were printed before, or
    /// after `patience`. Thread-safe; not from inside the callback.
    void flush() noexcept;

    /// Gives stdout back, calls back for all that was written, a last line without an end included,
    /// and ends. A callback that does not return within `patience` is left behind in its thread:
    /// then the process should end. Thread-safe.
    void stop() noexcept { end(true); }
    /// The same at once and without any callback: what is left goes to the stdout of before.
    /// Thread-safe; also from inside the callback.
    void fall_back() noexcept { end(false); }

private:
    struct State;

    void end(bool deliver) noexcept;

    std::shared_ptr<State> state_;
    std::mutex ending_;
    std::thread reader_, caller_;
};

/// Writes lines of other ranks to the terminal of the driver, each with one write, so that they
/// stay whole among the driver's own output. Thread-safe.
class LinePrinter {
public:
    /// Borrows the descriptor; 1 is the driver's stdout, whose buffer is written out before.
    explicit LinePrinter(int fd = 1) noexcept : fd_(fd) {}

    /// "[rank 3] line". A terminal that is gone is no error.
    void print(unsigned rank, std::string_view line) noexcept;

private:
    int fd_;
    std::mutex mutex_;
};

}  // namespace mobula::runtime
