// SPDX-License-Identifier: Apache-2.0

/// Ray's actor cases, under the names that Ray's own list has for them. Its coroutine actors
/// ("async") are actors with max_concurrency here: every method may wait without a thread.

#include "micro/cases.hpp"

namespace micro {
namespace {

using Refs = std::vector<mobula::Ref<std::uint16_t>>;

struct Server {
    std::uint16_t value() { return ok; }
    std::uint16_t value_of(const int& argument) {
        check(argument == 7, "the argument of a method");
        return ok;
    }
};
using Servers = std::vector<mobula::Actor<Server>>;

/// Ray's default for coroutine actors.
constexpr unsigned coroutines = 1000;

Servers spawn_servers(unsigned count, unsigned max_concurrency) {
    Servers servers;
    for (unsigned i = 0; i < count; ++i) {
        servers.push_back(mobula::spawn<Server>(
            {.max_concurrency = max_concurrency,
             .placement = count == 1 ? on_last_rank() : mobula::Placement::spread()}));
        mobula::get(servers.back().ready());
    }
    return servers;
}

/// `count` calls, going round the servers, and a get of all.
std::uint64_t call_round_robin(const Servers& servers, std::size_t count) {
    Refs refs;
    refs.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        refs.push_back(servers[i % servers.size()].call<&Server::value>());
    }
    check_all_ok(refs);
    return count;
}

struct Client {
    explicit Client(Servers servers) : servers_(std::move(servers)) {}
    std::uint64_t batch(std::size_t count) {
        return call_round_robin(servers_, count * servers_.size());
    }
    std::uint64_t batch_with_argument(std::size_t count) {
        const mobula::Ref<int> argument = mobula::put(7);
        Refs refs;
        for (std::size_t i = 0; i < count; ++i) {
            for (const auto& server : servers_) {
                refs.push_back(server.call<&Server::value_of>(argument));
            }
        }
        check_all_ok(refs);
        return count;
    }

private:
    Servers servers_;
};

void one_to_one(benchmark::State& state, unsigned max_concurrency) {
    const Servers servers = spawn_servers(1, max_concurrency);
    for (auto _ : state) {
        check(mobula::get(servers[0].call<&Server::value>()) == ok, "a method's result");
    }
}

void one_to_one_async(benchmark::State& state, unsigned max_concurrency) {
    const Servers servers = spawn_servers(1, max_concurrency);
    for (auto _ : state) call_round_robin(servers, 1000);
}

void one_to_one_with_arguments(benchmark::State& state) {
    const Servers servers = spawn_servers(1, coroutines);
    for (auto _ : state) {
        Refs refs;
        refs.reserve(1000);
        for (int i = 0; i < 1000; ++i) refs.push_back(servers[0].call<&Server::value_of>(7));
        check_all_ok(refs);
    }
}

void one_to_n(benchmark::State& state, unsigned max_concurrency) {
    const auto client = mobula::spawn<Client>(spawn_servers(half_the_cpus(), max_concurrency));
    for (auto _ : state) {
        check(mobula::get(client.call<&Client::batch>(sizes.client_calls)) ==
                  sizes.client_calls * half_the_cpus(),
              "a client did not make all its calls");
    }
}

void n_to_n(benchmark::State& state, unsigned max_concurrency) {
    const Servers servers = spawn_servers(half_the_cpus(), max_concurrency);
    for (auto _ : state) {
        std::vector<mobula::Ref<std::uint64_t>> counts;
        for (int i = 0; i < 4; ++i) {
            counts.push_back(mobula::remote<call_round_robin>(
                {.placement = mobula::Placement::spread()}, servers, sizes.client_calls));
        }
        for (const std::uint64_t count : mobula::get(counts)) {
            check(count == sizes.client_calls, "a task did not make all its calls");
        }
    }
}

void n_to_n_with_argument(benchmark::State& state) {
    constexpr std::size_t calls_each = 1000;
    std::vector<mobula::Actor<Client>> clients;
    for (unsigned i = 0; i < half_the_cpus(); ++i) {
        clients.push_back(
            mobula::spawn<Client>({.placement = mobula::Placement::spread()}, spawn_servers(1, 1)));
    }
    for (auto _ : state) {
        std::vector<mobula::Ref<std::uint64_t>> counts;
        for (const auto& client : clients) {
            counts.push_back(client.call<&Client::batch_with_argument>(calls_each));
        }
        for (const std::uint64_t count : mobula::get(counts)) {
            check(count == calls_each, "a client did not make all its calls");
        }
    }
}

template <class Body>
void add_with(const char* name, std::int64_t items, Body body, unsigned max_concurrency) {
    add(name, items,
        [body, max_concurrency](benchmark::State& state) { body(state, max_concurrency); });
}

}  // namespace

void add_actor_cases() {
    const auto n = static_cast<std::int64_t>(half_the_cpus());
    const auto all = static_cast<std::int64_t>(sizes.client_calls);
    add_with("1_1_actor_calls_sync", 1, one_to_one, 1);
    add_with("1_1_actor_calls_async", 1000, one_to_one_async, 1);
    add_with("1_1_actor_calls_concurrent", 1000, one_to_one_async, 16);
    add_with("1_n_actor_calls_async", all * n, one_to_n, 1);
    add_with("n_n_actor_calls_async", all * 4, n_to_n, 1);
    add("n_n_actor_calls_with_arg_async", 1000 * n, n_to_n_with_argument);
    add_with("1_1_async_actor_calls_sync", 1, one_to_one, coroutines);
    add_with("1_1_async_actor_calls_async", 1000, one_to_one_async, coroutines);
    add("1_1_async_actor_calls_with_args_async", 1000, one_to_one_with_arguments);
    add_with("1_n_async_actor_calls_async", all * n, one_to_n, coroutines);
    add_with("n_n_async_actor_calls_async", all * 4, n_to_n, coroutines);
}

}  // namespace micro
