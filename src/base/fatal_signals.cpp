// SPDX-License-Identifier: Apache-2.0
#include "base/fatal_signals.hpp"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string_view>

extern "C" __attribute__((weak)) void __sanitizer_print_stack_trace();

namespace mobula::fatal {
namespace {

struct Signal {
    int number;
    std::string_view name;  // strsignal() may allocate
};
constexpr std::array signals{Signal{SIGSEGV, "Segmentation fault"},
                             Signal{SIGBUS, "Bus error"},
                             Signal{SIGFPE, "Floating point exception"},
                             Signal{SIGILL, "Illegal instruction"},
                             Signal{SIGABRT, "Aborted"},
                             Signal{SIGPIPE, "Broken pipe"},
                             Signal{SIGXFSZ, "File size limit exceeded"}};

std::array<struct sigaction, signals.size()> previous{};
std::array<bool, signals.size()> taken{};

std::array<std::atomic<Hook>, 4> hooks{};
static_assert(std::atomic<Hook>::is_always_lock_free, "a signal handler may only touch such");

/// The thread that the process dies of, or 0.
std::atomic<pid_t> dying{0};

std::size_t place_of(int number) noexcept {
    std::size_t i = 0;
    while (i + 1 < signals.size() && signals[i].number != number) ++i;
    return i;
}

/// Leaves the signal to the handler that was there before. A fault comes again at the same
/// instruction, with its registers and address; a signal that was sent has to be sent again.
void pass_on(const Event& event) noexcept {
    sigaction(event.number, &previous[place_of(event.number)], nullptr);
    if (!event.is_fault()) raise(event.number);
}

/// What is said may itself go to a pipe that nobody reads, and must not end the process before the
/// hooks have done their work.
void bear_broken_pipes() noexcept {
    if (!taken[place_of(SIGPIPE)]) return;
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, nullptr);
}

void say(FixedText& text) noexcept {
    FixedText line;
    line.add("mobula: ").add(text.view().substr(0, FixedText::bytes_max - 9)).add("\n");
    // In one piece, so that the lines of ranks that die together do not mix.
    [[maybe_unused]] const auto written =
        write(STDERR_FILENO, line.view().data(), line.view().size());
}

void handle(int number, siginfo_t* info, void* context) {
    Event event{.number = number, .info = info, .context = context};
    const pid_t self = gettid();
    pid_t first = 0;
    if (!dying.compare_exchange_strong(first, self)) {
        if (first == self) return pass_on(event);  // a hook has failed
        for (;;) pause();
    }
    bear_broken_pipes();
    event.text.add("signal ").add(static_cast<std::uint64_t>(number));
    event.text.add(" (").add(signals[place_of(number)].name).add(")");
    for (const std::atomic<Hook>& slot : hooks) {
        if (const Hook hook = slot.load()) hook(event);
    }
    if (!event.said) say(event.text);
    pass_on(event);
}

/// Whether a handler belongs to the program and not to a library that only reports the death.
bool is_the_programs(const struct sigaction& action) noexcept {
    if ((action.sa_flags & SA_SIGINFO) == 0 &&
        (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)) {
        return action.sa_handler == SIG_IGN;
    }
    if (&__sanitizer_print_stack_trace != nullptr) return false;  // a sanitizer's own
    Dl_info info{};
    if (dladdr(reinterpret_cast<const void*>(action.sa_handler), &info) == 0) return true;
    std::string_view file = info.dli_fname != nullptr ? info.dli_fname : "";
    file.remove_prefix(std::min(file.size(), file.rfind('/') + 1));
    constexpr std::array<std::string_view, 4> reporters{"libopen-pal", "libopal", "libmpi",
                                                        "libucs"};
    return std::none_of(reporters.begin(), reporters.end(),
                        [&](std::string_view name) { return file.starts_with(name); });
}

}  // namespace

void add_hook(Hook hook) noexcept {
    for (std::atomic<Hook>& slot : hooks) {
        Hook none = nullptr;
        if (slot.compare_exchange_strong(none, hook) || none == hook) return;
    }
}

void install() noexcept {
    for (std::size_t i = 0; i < signals.size(); ++i) {
        struct sigaction present {};
        sigaction(signals[i].number, nullptr, &present);
        if (taken[i] || is_the_programs(present)) continue;
        previous[i] = present;
        taken[i] = true;
        struct sigaction action {};
        action.sa_sigaction = &handle;
        // A thread that has no alternate stack handles it on its own. A hook that fails comes here
        // again.
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigaction(signals[i].number, &action, nullptr);
    }
}

void uninstall() noexcept {
    for (std::size_t i = 0; i < signals.size(); ++i) {
        struct sigaction present {};
        sigaction(signals[i].number, nullptr, &present);
        const bool ours = (present.sa_flags & SA_SIGINFO) != 0 && present.sa_sigaction == &handle;
        if (taken[i] && ours) sigaction(signals[i].number, &previous[i], nullptr);
        taken[i] = false;
    }
}

AlternateStack::AlternateStack() noexcept {
    stack_t present{};
    if (sigaltstack(nullptr, &present) != 0 || (present.ss_flags & SS_DISABLE) == 0) return;
    // Room for the registers, which the kernel saves there, and for hooks and what they call.
    const long least = std::max(sysconf(_SC_MINSIGSTKSZ), 0L);
    const auto bytes = static_cast<std::size_t>(least) + (std::size_t{64} << 10U);
    void* const memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;  // what happens on the thread's own stack is still told
    stack_t own{};
    own.ss_sp = memory;
    own.ss_size = bytes;
    if (sigaltstack(&own, nullptr) != 0) {
        munmap(memory, bytes);
        return;
    }
    memory_ = memory;
    bytes_ = bytes;
}

AlternateStack::~AlternateStack() {
    if (memory_ == nullptr) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
    munmap(memory_, bytes_);
}

}  // namespace mobula::fatal
