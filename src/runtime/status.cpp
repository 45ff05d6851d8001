// SPDX-License-Identifier: Apache-2.0
#include "runtime/status.hpp"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "native/file.hpp"
#include "native/launcher.hpp"
#include "runtime/run_folder.hpp"
#include "transport/cluster.hpp"

namespace mobula::runtime {

void write_status(const std::string& file, int code, const std::string& reason,
                  std::chrono::seconds tasks_may_take) noexcept {
    if (file.empty()) return;
    std::string text = "exit " + std::to_string(exit_status(code)) + "\n";
    if (!reason.empty()) text += "reason " + reason + "\n";
    if (const auto seconds = tasks_may_take.count(); seconds != 0) {
        text += "waits " + std::to_string(seconds) + "\n";
    }
    RunFolder(file).make_room();
    const std::string why = native::replace_file(file, text);
    if (!why.empty()) std::fprintf(stderr, "mobula: the status file: %s\n", why.c_str());
}

namespace {

std::string launchers_file() {
    const char* const given = std::getenv("MOBULA_STATUS_FILE");
    return given == nullptr ? "" : given;
}

}  // namespace

int refuse_to_start(const std::string& sentence) noexcept {
    const std::string file = launchers_file();
    if (!native::launched_as_first()) {
        // In a folder of slurm/run the file is not there before it is written.
        native::let_first_speak(RunFolder(file).exists() ? file : std::string());
        // Without a word in the file it was this rank alone that was told nonsense.
        if (file.empty() || ::access(file.c_str(), F_OK) == 0) return bad_input;
    }
    std::fprintf(stderr, "mobula: %s\n", sentence.c_str());
    // A file that is left alone was named by the sentence, or will be by the next start.
    if (native::why_not_replaceable(file).empty()) write_status(file, bad_input, sentence);
    return bad_input;
}

int answer_at_start(const std::string& text) noexcept {
    if (!native::launched_as_first()) return 0;
    std::fputs(text.c_str(), stdout);
    write_status(launchers_file(), 0, {});
    return 0;
}

void leave_after(std::chrono::milliseconds delay, int code, const std::string& words) {
    static std::atomic<int> exit_code{0};
    static std::array<char, 256> last_words;  // read by a signal's handler, which may not allocate
    static std::atomic<std::size_t> last_bytes{0};
    exit_code.store(code);
    last_bytes.store(0);
    last_bytes.store(words.copy(last_words.data(), last_words.size()));
    struct sigaction action {};
    action.sa_handler = [](int) {
        static_cast<void>(!::write(STDERR_FILENO, last_words.data(), last_bytes.load()));
        _exit(exit_code.load());
    };
    sigaction(SIGALRM, &action, nullptr);
    const long ms = std::max<long>(delay.count(), 1);  // 0 would mean never
    const itimerval once{{0, 0}, {ms / 1000, ms % 1000 * 1000}};
    setitimer(ITIMER_REAL, &once, nullptr);
}

void stay() noexcept {
    alarm(0);
    signal(SIGALRM, SIG_DFL);
}

}  // namespace mobula::runtime
