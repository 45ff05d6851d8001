// SPDX-License-Identifier: Apache-2.0
#include "transport/sleeper.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace mobula::transport {

namespace {

void watch(int epoll, int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
}

timespec time_until(Time deadline) noexcept {
    const auto left = std::max(deadline - Clock::now(), Duration::zero());
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(left);
    timespec span{};
    span.tv_sec = static_cast<std::time_t>(whole.count());
    span.tv_nsec = static_cast<long>(std::chrono::nanoseconds(left - whole).count());
    return span;
}

}  // namespace

Sleeper::Sleeper(int foreign)
    : bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!bell_ || !epoll_) throw std::system_error(errno, std::generic_category(), "eventfd");
    watch(epoll_.get(), bell_.get());
    if (foreign >= 0) watch(epoll_.get(), foreign);
}

bool Sleeper::begin() noexcept {
    std::uint32_t expected = awake;
    if (state_.compare_exchange_strong(expected, asleep, std::memory_order_seq_cst)) return true;
    state_.store(awake, std::memory_order_seq_cst);
    return false;
}

void Sleeper::sleep(Time deadline) noexcept {
    const timespec span = time_until(deadline);
    epoll_event events[2];
    int ready = ::epoll_pwait2(epoll_.get(), events, 2, &span, nullptr);
    if (ready < 0 && errno == ENOSYS) {
        // Before Linux 5.11: whole milliseconds, rounded up lest a near deadline becomes a spin.
        const long ms = span.tv_sec * 1000 + (span.tv_nsec + 999'999) / 1'000'000;
        ready = ::epoll_wait(epoll_.get(), events, 2, static_cast<int>(std::min(ms, 60'000L)));
    }
    // A bell may ring late, in a sleep after the one it was meant for, so it is looked at each
    // time.
    for (int n = 0; n < ready; ++n) {
        if (events[n].data.fd == bell_.get()) hear_bell();
    }
}

void Sleeper::nap(Time deadline) noexcept {
    const timespec span = time_until(deadline);
    pollfd bell{bell_.get(), POLLIN, 0};
    if (::ppoll(&bell, 1, &span, nullptr) > 0) hear_bell();
}

void Sleeper::end() noexcept { state_.store(awake, std::memory_order_seq_cst); }

void Sleeper::hear_bell() noexcept {
    std::uint64_t rings = 0;
    (void)!::read(bell_.get(), &rings, sizeof rings);
}

void Sleeper::ring() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(bell_.get(), &one, sizeof one);
}

}  // namespace mobula::transport
