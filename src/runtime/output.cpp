// SPDX-License-Identifier: Apache-2.0
#include "runtime/output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <system_error>
#include <utility>

#include "native/fd.hpp"

namespace mobula::runtime {
namespace {

using native::Fd;

/// Of stdout while it is captured, and after that: the C library keeps it. Its first byte tells
/// whether anything was printed, without a call: all that stdio prints goes through it, beginning
/// there, and flush() puts a 0 into it. No program prints a 0 byte on purpose.
std::array<char, 16384> stdout_buffer;

bool anything_buffered_since() noexcept {
    return std::atomic_ref(stdout_buffer[0]).load(std::memory_order_acquire) != 0;
}

/// All of it, if the other side takes it; a full pipe is waited for, a closed one is not.
void write_all(int fd, std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written > 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            pollfd ready{fd, POLLOUT, 0};
            if (::poll(&ready, 1, 1000) <= 0) return;
        } else if (errno != EINTR) {
            return;
        }
    }
}

int checked(int result, const char* what) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), what);
    return result;
}

/// A thread that gets no signals: they are for those who know what to do with them.
template <class Body>
std::thread quiet_thread(Body body) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread thread(std::move(body));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
}

}  // namespace

/// Shared with the threads, so that one that is stuck in the callback may be left behind.
struct OutputCapture::State {
    Callback callback;
    Limits limits;
    Fd before;  ///< stdout as it was
    Fd pipe;    ///< the end to read from
    Fd wake;
    std::atomic<bool> stopping{false};

    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::string> queue;
    std::size_t queued_bytes = 0;
    bool given_up = false;       ///< no more callbacks
    bool read_all = false;       ///< the reader is done
    bool called_all = false;     ///< so is the caller
    std::uint64_t asked = 0;     ///< flush() was called so often,
    std::uint64_t answered = 0;  ///< and for these all that was printed before is in the queue,
    std::uint64_t answered_lines = 0;  ///< so many lines since the beginning
    std::uint64_t lines = 0;           ///< that were put into the queue
    std::uint64_t lines_called = 0;    ///< and those that were called back for
    /// For a look without the mutex: the reader may have bytes that are in no line yet.
    std::atomic<bool> reading{false};
    std::atomic<unsigned> flushing{0};            ///< calls of flush(), which have cleared the mark
    std::atomic<std::uint64_t> lines_waiting{0};  ///< lines - lines_called

    void wake_reader() noexcept {
        const std::uint64_t one = 1;
        static_cast<void>(!::write(wake.get(), &one, sizeof one));
    }

    // ---- with the mutex held ----

    void write_before(std::string_view line) noexcept {
        std::string text(line);
        text.push_back('\n');
        write_all(before.get(), text);
    }
    void give_up() noexcept {
        given_up = true;
        for (const std::string& line : queue) write_before(line);
        queue.clear();
        queued_bytes = 0;
        lines_waiting.store(0);
        changed.notify_all();
    }

    // ---- the threads ----

    template <class Action>
    auto with_mutex(Action&& action) {
        std::lock_guard lock(mutex);
        return action();
    }

    void push(std::string line) {
        std::unique_lock lock(mutex);
        const auto room = [&] {
            return given_up || queue.empty() ||
                   queued_bytes + line.size() <= limits.queue_bytes_max;
        };
        if (!changed.wait_for(lock, limits.patience, room)) give_up();
        if (given_up) return write_before(line);
        queued_bytes += line.size();
        queue.push_back(std::move(line));
        ++lines;
        lines_waiting.fetch_add(1);
        changed.notify_all();
    }

    /// Cuts into lines; `rest` is what has no end yet.
    void take(std::string& rest, std::string_view bytes) {
        while (!bytes.empty()) {
            const std::size_t end = bytes.find('\n');
            const std::size_t room = limits.line_bytes_max - rest.size();
            const std::size_t size = std::min({end, room, bytes.size()});
            rest.append(bytes.substr(0, size));
            bytes.remove_prefix(size);
            const bool ends = !bytes.empty() && bytes.front() == '\n';
            if (ends) bytes.remove_prefix(1);
            if (ends || rest.size() == limits.line_bytes_max) push(std::exchange(rest, {}));
        }
    }

    void read() {
        std::string rest;
        std::array<char, 16384> bytes;
        for (bool more = true; more;) {
            std::array<pollfd, 2> ready{{{pipe.get(), POLLIN, 0}, {wake.get(), POLLIN, 0}}};
            if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) break;
            reading.store(true);
            // Both under the mutex, as flush() does both, so that no wake-up outlives its answer.
            const std::uint64_t asked_before = with_mutex([&] {
                std::uint64_t wakes = 0;
                static_cast<void>(!::read(wake.get(), &wakes, sizeof wakes));
                return asked;
            });
            // Looked at after the wake-up was taken, because stop() sets it before it wakes, and
            // before the reads: what was written before the stop is in the pipe by now. Children
            // may keep the pipe open for ever, so that its end is nothing to wait for.
            const bool last = stopping.load();
            ssize_t size = 0;
            while ((size = ::read(pipe.get(), bytes.data(), bytes.size())) > 0) {
                take(rest, {bytes.data(), static_cast<std::size_t>(size)});
            }
            more = !last && size < 0 && (errno == EAGAIN || errno == EINTR);
            reading.store(false);
            with_mutex([&] {
                if (answered == asked_before) return;
                answered = asked_before;
                answered_lines = lines;
                changed.notify_all();
            });
        }
        if (!rest.empty()) push(std::move(rest));
        std::lock_guard lock(mutex);
        read_all = true;
        changed.notify_all();
    }

    void call() {
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [&] { return given_up || read_all || !queue.empty(); });
            if (given_up || queue.empty()) break;
            const std::string line = std::move(queue.front());
            queue.pop_front();
            lock.unlock();
            bool taken = true;
            try {
                callback(line);
            } catch (...) {
                taken = false;
            }
            lock.lock();
            queued_bytes -= std::min(queued_bytes, line.size());
            ++lines_called;
            if (!given_up) lines_waiting.fetch_sub(1);
            if (!taken) {
                write_before(line);
                give_up();
            }
            changed.notify_all();
        }
        called_all = true;
        changed.notify_all();
    }
};

OutputCapture::OutputCapture(Callback callback) : OutputCapture(std::move(callback), Limits{}) {}

OutputCapture::OutputCapture(Callback callback, Limits limits) : state_(std::make_shared<State>()) {
    State& state = *state_;
    state.callback = std::move(callback);
    state.limits = limits;
    std::array<int, 2> ends{};
    checked(::pipe2(ends.data(), O_CLOEXEC), "the pipe for stdout");
    state.pipe = Fd(ends[0]);
    const Fd entrance(ends[1]);
    // Only the reading end does not wait: whoever prints into a full pipe has to.
    checked(::fcntl(state.pipe.get(), F_SETFL, O_NONBLOCK), "the pipe for stdout");
    state.wake = Fd(checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "the pipe for stdout"));
    std::fflush(stdout);
    state.before = Fd(checked(::fcntl(1, F_DUPFD_CLOEXEC, 3), "stdout"));
    checked(::dup2(entrance.get(), 1), "stdout");
    // A pipe would be buffered in blocks, and lines would come when the block is full.
    std::setvbuf(stdout, stdout_buffer.data(), _IOLBF, stdout_buffer.size());
    reader_ = quiet_thread([state = state_] { state->read(); });
    caller_ = quiet_thread([state = state_] { state->call(); });
}

OutputCapture::~OutputCapture() {
    stop();
    // Here, because fall_back() may have been called in the caller's own thread.
    if (reader_.joinable()) reader_.join();
    bool called_all = false;
    {
        std::unique_lock lock(state_->mutex);
        called_all = state_->changed.wait_for(lock, state_->limits.patience,
                                              [&] { return state_->called_all; });
    }
    if (called_all) {
        caller_.join();
    } else {
        caller_.detach();
    }
}

bool OutputCapture::anything_new(bool look_closely) const noexcept {
    if (anything_buffered_since() || state_->flushing.load() != 0) return true;
    if (!look_closely) return false;
    int bytes = 0;
    // In this order: the reader says that it reads before it takes bytes out of the pipe.
    return (::ioctl(state_->pipe.get(), FIONREAD, &bytes) == 0 && bytes > 0) ||
           state_->reading.load() || state_->lines_waiting.load() != 0;
}

void OutputCapture::flush() noexcept {
    State& state = *state_;
    state.flushing.fetch_add(1);  // before the mark goes, for those that look at both
    flockfile(stdout);
    // What has no end yet stays in the buffer; then the mark stays as well.
    if (__fpending(stdout) == 0) std::atomic_ref(stdout_buffer[0]).store(0);
    funlockfile(stdout);
    std::unique_lock lock(state.mutex);
    const std::uint64_t ticket = ++state.asked;
    state.wake_reader();
    state.changed.wait_for(lock, state.limits.patience, [&] {
        return state.given_up || state.read_all ||
               (state.answered >= ticket && state.lines_called >= state.answered_lines);
    });
    state.flushing.fetch_sub(1);
}

void OutputCapture::end(bool deliver) noexcept {
    State& state = *state_;
    if (!deliver) {
        // First of all, so that a stop() under way in another thread need not wait any longer.
        std::lock_guard lock(state.mutex);
        state.give_up();
    }
    std::lock_guard ending(ending_);
    if (!state.stopping.load()) {
        std::fflush(stdout);
        ::dup2(state.before.get(), 1);
        state.stopping.store(true);
        state.wake_reader();
    }
    std::unique_lock lock(state.mutex);
    state.changed.wait_for(lock, state.limits.patience, [&] { return state.read_all; });
    const auto delivered = [&] { return state.given_up || state.called_all; };
    if (!state.changed.wait_for(lock, state.limits.patience, delivered)) state.give_up();
}

void LinePrinter::print(unsigned rank, std::string_view line) noexcept {
    std::string text = "[rank " + std::to_string(rank) + "] ";
    text.append(line).push_back('\n');
    std::lock_guard lock(mutex_);
    if (fd_ == 1) std::fflush(stdout);
    write_all(fd_, text);
}

}  // namespace mobula::runtime
