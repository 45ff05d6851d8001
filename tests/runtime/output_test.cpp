// SPDX-License-Identifier: Apache-2.0
/// Goal: every line that is printed arrives whole, once and in order, at the callback or, when that
/// fails, at the stdout of before; nobody waits for ever. Method: stdout of this process is a file
/// while a capture lives; callbacks that are fast, slow, throwing and stuck.
#include "runtime/output.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <vector>

namespace mobula::runtime {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

/// Stands for the terminal: stdout is a file from here to the end.
class Terminal {
public:
    Terminal() : file_(std::tmpfile()) {
        std::fflush(stdout);
        before_ = dup(1);
        dup2(fileno(file_), 1);
    }
    ~Terminal() {
        std::fflush(stdout);
        dup2(before_, 1);
        close(before_);
        std::fclose(file_);
    }
    /// What it shows.
    [[nodiscard]] std::string text() const {
        std::fflush(stdout);
        std::string text(static_cast<std::size_t>(lseek(fileno(file_), 0, SEEK_END)), '\0');
        EXPECT_EQ(pread(fileno(file_), text.data(), text.size(), 0), ssize_t(text.size()));
        return text;
    }

private:
    std::FILE* file_;
    int before_;
};

TEST(OutputCapture, FlushReturnsWhenAllWasCalledBackFor) {
    const Terminal terminal;
    std::mutex mutex;  // the thread sanitizer does not see that a pipe orders two threads
    std::vector<std::string> lines;
    OutputCapture capture([&](std::string_view line) {
        std::lock_guard guard(mutex);
        lines.emplace_back(line);
    });
    const auto seen = [&] {
        std::lock_guard guard(mutex);
        return lines;
    };
    capture.flush();
    EXPECT_FALSE(capture.anything_new(true));
    for (int i = 0; i < 200; ++i) {
        std::printf("line %d\n", i);
        EXPECT_TRUE(capture.anything_new(false));
        capture.flush();
        ASSERT_EQ(seen().size(), std::size_t(i) + 1);
        EXPECT_FALSE(capture.anything_new(true));
    }
    {
        // Past stdio it takes a closer look, while the callback has not returned.
        std::lock_guard guard(mutex);
        ASSERT_EQ(write(1, "by hand\n", 8), 8);
        EXPECT_FALSE(capture.anything_new(false));
        EXPECT_TRUE(capture.anything_new(true));
    }
    capture.flush();
    EXPECT_EQ(seen().back(), "by hand");
    // What has no end is nothing to wait for, and is seen until it has one.
    std::printf("half");
    capture.flush();
    EXPECT_TRUE(capture.anything_new(false));
    std::printf(" and half\n");
    capture.flush();
    EXPECT_EQ(seen().back(), "half and half");
    EXPECT_FALSE(capture.anything_new(true));
}

TEST(OutputCapture, IsNotDoneWhileAnotherThreadFlushes) {
    const Terminal terminal;
    std::binary_semaphore called{0}, release{0};
    OutputCapture::Limits limits;
    limits.patience = 60s;
    OutputCapture capture(
        [&](std::string_view) {
            called.release();
            release.acquire();
        },
        limits);
    std::printf("of one thread, and of another\n");
    std::thread other([&] { capture.flush(); });
    EXPECT_TRUE(called.try_acquire_for(60s));
    // The other thread may have taken the mark away, but the line is still on its way.
    for (int i = 0; i < 1000; ++i) {
        EXPECT_TRUE(capture.anything_new(false));
        std::this_thread::yield();
    }
    release.release();
    other.join();
    EXPECT_FALSE(capture.anything_new(true));
}

TEST(OutputCapture, FlushEndsThoughTheCallbackIsStuck) {
    const Terminal terminal;
    std::binary_semaphore release{0};
    {
        OutputCapture::Limits limits;
        limits.patience = 50ms;
        OutputCapture capture([&](std::string_view) { release.acquire(); }, limits);
        std::printf("stuck\n");
        capture.flush();
        EXPECT_TRUE(capture.anything_new(true));
        release.release();
    }
}

TEST(OutputCapture, GivesWholeLinesInOrder) {
    const Terminal terminal;
    std::vector<std::string> lines;
    {
        OutputCapture capture([&](std::string_view line) { lines.emplace_back(line); });
        std::printf("one\ntw");
        std::fflush(stdout);
        std::printf("o\n\n");
        std::cout << "three" << std::endl;
        EXPECT_EQ(std::system("echo four"), 0);
        std::printf("no end");
    }
    EXPECT_THAT(lines, ElementsAre("one", "two", "", "three", "four", "no end"));
    std::printf("after\n");
    EXPECT_EQ(terminal.text(), "after\n");
}

TEST(OutputCapture, LosesNothingUnderLoad) {
    const Terminal terminal;
    constexpr int threads = 4, each = 20000;
    std::vector<int> next(threads, 0);
    int strange = 0;
    {
        OutputCapture::Limits limits;
        limits.queue_bytes_max = 4096;
        OutputCapture capture(
            [&](std::string_view line) {
                int thread = -1, number = -1;
                const std::string text(line);
                if (std::sscanf(text.c_str(), "thread %d line %d.", &thread, &number) != 2 ||
                    number != next.at(std::size_t(thread))++) {
                    ++strange;
                }
            },
            limits);
        std::vector<std::thread> printers;
        for (int thread = 0; thread < threads; ++thread) {
            printers.emplace_back([=] {
                for (int i = 0; i < each; ++i) std::printf("thread %d line %d.\n", thread, i);
            });
        }
        for (std::thread& printer : printers) printer.join();
    }
    EXPECT_EQ(strange, 0);
    EXPECT_THAT(next, testing::Each(each));
    EXPECT_THAT(terminal.text(), IsEmpty());
}

TEST(OutputCapture, OverlongLinesComeInPieces) {
    const Terminal terminal;
    std::vector<std::string> lines;
    {
        OutputCapture::Limits limits;
        limits.line_bytes_max = 10;
        OutputCapture capture([&](std::string_view line) { lines.emplace_back(line); }, limits);
        std::printf("0123456789abcdef\nshort\n");
    }
    EXPECT_THAT(lines, ElementsAre("0123456789", "abcdef", "short"));
}

TEST(OutputCapture, FallsBackWhenTheCallbackThrows) {
    const Terminal terminal;
    std::vector<std::string> lines;
    {
        OutputCapture capture([&](std::string_view line) {
            if (line == "two") throw std::runtime_error("the network is gone");
            lines.emplace_back(line);
        });
        std::printf("one\ntwo\nthree\nfour");
    }
    EXPECT_THAT(lines, ElementsAre("one"));
    EXPECT_EQ(terminal.text(), "two\nthree\nfour\n");
}

TEST(OutputCapture, FallsBackWhenTheCallbackIsStuck) {
    const Terminal terminal;
    // Both outlive the thread that is left behind.
    static std::binary_semaphore held(0);
    static std::atomic<bool> left(false);
    {
        OutputCapture::Limits limits;
        limits.queue_bytes_max = 1000;
        limits.patience = 50ms;
        OutputCapture capture(
            [](std::string_view) {
                held.acquire();
                left = true;
            },
            limits);
        // More than the pipe and the queue hold together.
        for (int i = 0; i < 20000; ++i) std::printf("line %d\n", i);
    }
    std::string expected;
    for (int i = 1; i < 20000; ++i) expected += "line " + std::to_string(i) + "\n";
    EXPECT_TRUE(terminal.text() == expected);  // the first is with the callback
    held.release();
    while (!left) std::this_thread::yield();
}

TEST(OutputCapture, FallBackLeavesNothingInThePipe) {
    const Terminal terminal;
    std::binary_semaphore called(0), go(0);
    OutputCapture capture([&](std::string_view) {
        called.release();
        go.acquire();
    });
    std::printf("one\ntwo\nthree");
    called.acquire();
    capture.fall_back();
    std::printf("four\n");
    EXPECT_EQ(terminal.text(), "two\nthree\nfour\n");
    go.release();
}

TEST(OutputCapture, MayFallBackFromInsideTheCallback) {
    const Terminal terminal;
    std::unique_ptr<OutputCapture> capture;
    std::binary_semaphore made(0), done(0);
    capture = std::make_unique<OutputCapture>([&](std::string_view) {
        made.acquire();
        capture->fall_back();
        done.release();
    });
    std::printf("one\ntwo\n");
    made.release();
    done.acquire();
    capture.reset();
    EXPECT_EQ(terminal.text(), "two\n");
}

TEST(OutputCapture, StopsWhileAChildKeepsThePipeOpen) {
    const Terminal terminal;
    std::vector<std::string> lines;
    {
        OutputCapture capture([&](std::string_view line) { lines.emplace_back(line); });
        EXPECT_EQ(std::system("echo hello; sleep 3 &"), 0);
        const auto start = std::chrono::steady_clock::now();
        capture.stop();
        EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
    }
    EXPECT_THAT(lines, ElementsAre("hello"));
}

TEST(LinePrinter, WritesTheRankInFront) {
    const Terminal terminal;
    LinePrinter printer;
    std::printf("driver\n");
    printer.print(3, "loss 0.5");
    printer.print(12, "");
    EXPECT_EQ(terminal.text(), "driver\n[rank 3] loss 0.5\n[rank 12] \n");
}

TEST(LinePrinter, DoesNotMindAClosedTerminal) {
    LinePrinter printer(1000);
    printer.print(0, "nobody reads this");
}

}  // namespace
}  // namespace mobula::runtime
