// SPDX-License-Identifier: Apache-2.0

/// The dependency patterns with plain MPI, point to point and non-blocking: each rank has a block
/// of points. Variant `value` sends a message for each value and each rank that reads it, as
/// published pattern benchmarks do; `neighbour` joins a step's values for one rank in one message.

#include <mpi.h>

#include <utility>

#include "patterns/report.hpp"

namespace {

using namespace patterns;

/// What a rank exchanges with one other before a step of one class.
struct Exchange {
    int peer = 0;
    std::vector<std::uint32_t> out, in;
};

struct Plan {
    Plan(const Problem& problem, const Edges& edges, Blocks blocks, std::uint32_t rank)
        : first(blocks.first(rank)), end(blocks.first(rank + 1)) {
        classes.resize(step_classes(problem));
        for (std::uint32_t c = 0; c < classes.size(); ++c) {
            std::uint32_t t = 1;
            while (step_class(problem, t) != c) ++t;
            for (std::uint32_t other = 0; other < blocks.count; ++other) {
                if (other == rank) continue;
                Exchange exchange{static_cast<int>(other), edges.halo(blocks, t, rank, other),
                                  edges.halo(blocks, t, other, rank)};
                if (exchange.out.empty() && exchange.in.empty()) continue;
                classes[c].push_back(std::move(exchange));
            }
        }
    }
    std::uint32_t first, end;
    std::vector<std::vector<Exchange>> classes;
};

/// One step's messages. Values of the step before lie in `values`, indexed by point; those of
/// other ranks are received into their places.
template <std::size_t stamps>
class Messages {
public:
    explicit Messages(bool joined) : joined_(joined) {}

    void exchange(const std::vector<Exchange>& all, int tag, std::vector<Output<stamps>>& values) {
        requests_.clear();
        if (joined_ && buffers_.size() < 2 * all.size()) buffers_.resize(2 * all.size());
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (joined_) {
                std::vector<Output<stamps>>& buffer = buffers_[2 * i];
                buffer.resize(all[i].in.size());
                if (!buffer.empty()) receive(buffer.data(), buffer.size(), all[i].peer, tag);
            } else {
                for (const std::uint32_t q : all[i].in) receive(&values[q], 1, all[i].peer, tag);
            }
        }
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (joined_) {
                std::vector<Output<stamps>>& buffer = buffers_[2 * i + 1];
                buffer.clear();
                for (const std::uint32_t q : all[i].out) buffer.push_back(values[q]);
                if (!buffer.empty()) send(buffer.data(), buffer.size(), all[i].peer, tag);
            } else {
                for (const std::uint32_t q : all[i].out) send(&values[q], 1, all[i].peer, tag);
            }
        }
        MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
        if (!joined_) return;
        for (std::size_t i = 0; i < all.size(); ++i) {
            for (std::size_t j = 0; j < all[i].in.size(); ++j) {
                values[all[i].in[j]] = buffers_[2 * i][j];
            }
        }
    }

private:
    // Values between two ranks keep their order, so that the step alone is tag enough.
    void receive(void* into, std::size_t count, int peer, int tag) {
        MPI_Irecv(into, static_cast<int>(count * sizeof(Output<stamps>)), MPI_BYTE, peer, tag,
                  MPI_COMM_WORLD, &requests_.emplace_back());
    }
    void send(const void* from, std::size_t count, int peer, int tag) {
        MPI_Isend(from, static_cast<int>(count * sizeof(Output<stamps>)), MPI_BYTE, peer, tag,
                  MPI_COMM_WORLD, &requests_.emplace_back());
    }

    bool joined_;
    std::vector<MPI_Request> requests_;
    std::vector<std::vector<Output<stamps>>> buffers_;
};

template <std::size_t stamps>
double run_once(const Problem& problem, const Edges& edges, const Plan& plan, bool joined) {
    constexpr int tag_steps = 1 << 14;
    std::vector<Output<stamps>> before(problem.width);
    std::vector<Output<stamps>> now(problem.width);
    std::vector<const Output<stamps>*> inputs;
    Messages<stamps> messages(joined);
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = seconds_now();
    for (std::uint32_t t = 0; t < problem.steps; ++t) {
        if (t > 0) {
            messages.exchange(plan.classes[step_class(problem, t)], static_cast<int>(t % tag_steps),
                              before);
        }
        const std::uint32_t end = std::min(plan.end, active(problem, t));
        for (std::uint32_t p = plan.first; p < end; ++p) {
            inputs.clear();
            for (const std::uint32_t q : edges.predecessors(t, p)) inputs.push_back(&before[q]);
            run_point<stamps>(problem, edges, t, p, inputs, now[p]);
        }
        std::swap(before, now);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    return seconds_now() - start;
}

}  // namespace

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int rank = 0;
    int ranks = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    Request request;
    const int code =
        read_request(request, "dependency patterns, MPI point to point",
                     std::vector<std::string>(argv, argv + argc), {"value", "neighbour"});
    if (code >= 0) {
        MPI_Finalize();
        return code;
    }
    const auto count = static_cast<std::uint32_t>(ranks);
    for_each_problem(request, [&](const Edges& edges) {
        const Plan plan(request.problem, edges, Blocks{request.problem.width, count},
                        static_cast<std::uint32_t>(rank));
        std::vector<double> seconds;
        for (std::uint32_t round = 0; round < request.rounds; ++round) {
            seconds.push_back(with_bytes(request.bytes, [&]<std::size_t stamps>() {
                return run_once<stamps>(request.problem, edges, plan,
                                        request.variant == "neighbour");
            }));
        }
        if (rank == 0) report(request, "mpi", count, count, edges, std::move(seconds));
    });
    MPI_Finalize();
    return 0;
}
