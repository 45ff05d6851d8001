// SPDX-License-Identifier: Apache-2.0

// A signal that ends the process is told before, also where the thread's own stack is full, and
// ends it as it would have done. Each case runs in a process of its own.

#include <gtest/gtest.h>

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/fatal_signals.hpp"
#include "worker/dies.hpp"

namespace mobula::fatal {
namespace {

using testing::ExitedWithCode;
using worker::DiesOf;
using worker::without_core;

void touch_nothing() {
    without_core();
    volatile int* volatile nowhere = nullptr;
    *nowhere = 1;
}

/// Uses up any stack.
int deep(int n) {  // NOLINT(misc-no-recursion)
    volatile char room[1000];
    room[0] = static_cast<char>(n);
    return n < 0 ? 0 : deep(n + 1) + room[0];
}

TEST(FatalSignals, SayTheirNameAndEndTheProcess) {
    const auto fault = [] {
        install();
        touch_nothing();
    };
    EXPECT_EXIT(fault(), DiesOf{SIGSEGV}, "mobula: signal 11 \\(Segmentation fault\\)\n");
    const auto abort = [] {
        without_core();
        install();
        std::abort();
    };
    EXPECT_EXIT(abort(), DiesOf{SIGABRT}, "mobula: signal 6 \\(Aborted\\)\n");
    const auto sent = [] {
        without_core();
        install();
        raise(SIGBUS);
    };
    EXPECT_EXIT(sent(), DiesOf{SIGBUS}, "mobula: signal 7 \\(Bus error\\)\n");
}

/// Writes to a pipe that nobody reads.
void write_in_vain() {
    int ends[2];
    if (pipe(ends) != 0 || close(ends[0]) != 0) std::abort();
    static_cast<void>(!write(ends[1], "x", 1));
}

TEST(FatalSignals, TellOfAPipeThatNobodyReads) {
    const auto broken = [] {
        install();
        write_in_vain();
    };
    EXPECT_EXIT(broken(), DiesOf{SIGPIPE}, "mobula: signal 13 \\(Broken pipe\\)\n");
    const auto ignored = [] {
        std::signal(SIGPIPE, SIG_IGN);
        install();
        write_in_vain();
        _exit(7);
    };
    EXPECT_EXIT(ignored(), ExitedWithCode(7), "^$");
    const auto in_a_hook = [] {
        without_core();
        add_hook([](Event& event) noexcept {
            write_in_vain();
            event.text.add(", and went on");
        });
        install();
        touch_nothing();
    };
    EXPECT_EXIT(in_a_hook(), DiesOf{SIGSEGV}, "and went on");
}

TEST(FatalSignals, AreToldByHooksInTheirOrderOnce) {
    const auto fault = [] {
        const Hook first = [](Event& event) noexcept { event.text.add(", one"); };
        const Hook second = [](Event& event) noexcept { event.text.add(", two"); };
        add_hook(first);
        add_hook(second);
        add_hook(first);
        install();
        touch_nothing();
    };
    EXPECT_EXIT(fault(), DiesOf{SIGSEGV}, "fault\\), one, two\n");
    const auto quiet = [] {
        add_hook([](Event& event) noexcept { event.said = true; });
        install();
        touch_nothing();
    };
    if (worker::watched()) return;  // a sanitizer says more
    EXPECT_EXIT(quiet(), DiesOf{SIGSEGV}, "^$");
}

TEST(FatalSignals, OfAHookEndTheProcessToo) {
    const auto fault = [] {
        add_hook([](Event&) noexcept { touch_nothing(); });
        install();
        raise(SIGFPE);
    };
    EXPECT_EXIT(fault(), DiesOf{SIGSEGV}, "");
}

TEST(FatalSignals, AreToldWhereTheStackIsFull) {
    const auto fault = [] {
        without_core();
        install();
        std::thread([] {
            const AlternateStack stack;
            std::exit(deep(0) + 1);
        }).join();
    };
    EXPECT_EXIT(fault(), DiesOf{SIGSEGV}, "mobula: signal 11");
}

TEST(FatalSignals, StayWithAHandlerOfTheProgram) {
    if (worker::watched()) GTEST_SKIP() << "a sanitizer's handlers look like the program's";
    const auto own = [] {
        struct sigaction action {};
        action.sa_handler = [](int) { _exit(7); };
        sigaction(SIGSEGV, &action, nullptr);
        install();
        touch_nothing();
    };
    EXPECT_EXIT(own(), ExitedWithCode(7), "^$");
}

TEST(FatalSignals, AreGivenBack) {
    if (worker::watched()) GTEST_SKIP() << "a sanitizer says more";
    const auto fault = [] {
        install();
        uninstall();
        touch_nothing();
    };
    EXPECT_EXIT(fault(), DiesOf{SIGSEGV}, "^$");
}

}  // namespace
}  // namespace mobula::fatal
