// SPDX-License-Identifier: Apache-2.0

/// The floors that need no engine: plain MPI between two ranks (there and back, and a stream of 64
/// byte messages with 16 byte answers) and memcpy. Prints one line of JSON. Run on 2 ranks; --small
/// only tries the program.

#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace {

constexpr int rounds = 7;

[[nodiscard]] double now_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

struct Figures {
    double best = 0, median = 0;
};

/// Seconds of an operation over several rounds of `count`.
template <class Operation>
Figures measure(int count, Operation operation) {
    std::vector<double> seconds;
    for (int round = 0; round <= rounds; ++round) {
        MPI_Barrier(MPI_COMM_WORLD);
        const double start = now_seconds();
        for (int i = 0; i < count; ++i) operation();
        if (round > 0) seconds.push_back((now_seconds() - start) / count);
    }
    std::sort(seconds.begin(), seconds.end());
    return {seconds.front(), seconds[seconds.size() / 2]};
}

Figures there_and_back(int rank, int bytes, int count) {
    std::vector<char> data(static_cast<std::size_t>(bytes), static_cast<char>(rank));
    return measure(count, [&] {
        if (rank == 0) {
            MPI_Send(data.data(), bytes, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
            MPI_Recv(data.data(), bytes, MPI_BYTE, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        } else if (rank == 1) {
            MPI_Recv(data.data(), bytes, MPI_BYTE, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            MPI_Send(data.data(), bytes, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
        }
    });
}

/// A window of 64 byte messages to rank 1, which answers each with 16 bytes.
Figures stream(int rank, int count) {
    constexpr std::size_t window = 64;
    std::vector<std::array<char, 64>> questions(window);
    std::vector<std::array<char, 16>> answers(window);
    std::vector<MPI_Request> requests(2 * window);
    Figures figures = measure(count, [&] {
        for (std::size_t i = 0; i < window; ++i) {
            if (rank == 0) {
                MPI_Irecv(answers[i].data(), 16, MPI_BYTE, 1, 2, MPI_COMM_WORLD, &requests[2 * i]);
                MPI_Isend(questions[i].data(), 64, MPI_BYTE, 1, 1, MPI_COMM_WORLD,
                          &requests[2 * i + 1]);
            } else if (rank == 1) {
                MPI_Irecv(questions[i].data(), 64, MPI_BYTE, 0, 1, MPI_COMM_WORLD,
                          &requests[2 * i]);
            }
        }
        if (rank == 1) {
            for (std::size_t i = 0; i < window; ++i) {
                MPI_Wait(&requests[2 * i], MPI_STATUS_IGNORE);
                MPI_Isend(answers[i].data(), 16, MPI_BYTE, 0, 2, MPI_COMM_WORLD,
                          &requests[2 * i + 1]);
            }
        }
        if (rank < 2) {
            MPI_Waitall(static_cast<int>(2 * window), requests.data(), MPI_STATUSES_IGNORE);
        }
    });
    figures.best /= window;
    figures.median /= window;
    return figures;
}

struct Free {
    void operator()(void* memory) const noexcept { std::free(memory); }
};

/// Bytes per second into memory that was touched before, or never.
Figures copy(int rank, std::size_t bytes, bool fresh) {
    std::unique_ptr<void, Free> from;
    std::unique_ptr<void, Free> kept;
    if (rank == 0) {
        from.reset(std::malloc(bytes));
        kept.reset(std::malloc(bytes));
        std::memset(from.get(), 1, bytes);
        std::memset(kept.get(), 2, bytes);
    }
    const Figures seconds = measure(1, [&] {
        if (rank != 0) return;
        std::unique_ptr<void, Free> untouched(fresh ? std::malloc(bytes) : nullptr);
        void* const into = fresh ? untouched.get() : kept.get();
        std::memcpy(into, from.get(), bytes);
        asm volatile("" : : "r"(into) : "memory");
    });
    const auto total = static_cast<double>(bytes);
    return {total / seconds.best, total / seconds.median};
}

void print(const char* name, const Figures& figures, double scale) {
    std::printf(", \"%s\": {\"best\": %.6g, \"median\": %.6g}", name, figures.best * scale,
                figures.median * scale);
}

}  // namespace

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int rank = 0;
    int ranks = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks < 2) {
        std::fprintf(stderr, "bench_floor: run it on 2 ranks\n");
        MPI_Finalize();
        return 2;
    }
    const bool try_only = argc > 1 && std::strcmp(argv[1], "--small") == 0;
    const int part = try_only ? 200 : 1;
    const std::size_t copied = (std::size_t{800} << 20U) / static_cast<std::size_t>(part);
    const Figures small = there_and_back(rank, 8, 20'000 / part);
    const Figures medium = there_and_back(rank, 4096, 10'000 / part);
    const Figures large = there_and_back(rank, 1 << 20, 200 / part);
    const Figures streamed = stream(rank, 2'000 / part);
    const Figures warm = copy(rank, copied, false);
    const Figures fresh = copy(rank, copied, true);
    if (rank == 0) {
        std::printf("{\"program\": \"floor\"");
        print("mpi_there_and_back_8B_us", small, 1e6);
        print("mpi_there_and_back_4KiB_us", medium, 1e6);
        print("mpi_there_and_back_1MiB_us", large, 1e6);
        print("mpi_stream_64B_16B_us", streamed, 1e6);
        print("memcpy_warm_GBs", warm, 1e-9);
        print("memcpy_fresh_GBs", fresh, 1e-9);
        std::printf("}\n");
    }
    MPI_Finalize();
    return 0;
}
