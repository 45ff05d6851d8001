// SPDX-License-Identifier: Apache-2.0
// Goal: what does not come from a rank of the job does no harm: it is counted, nobody is blamed for
// it, nothing of it is believed, and the ranks talk on. What a rank of the job sends wrong is still
// blamed on that rank. Method: two ranks in one process, and a stranger who knows their addresses,
// as a process that can open a connection to a port does, and sends messages of every kind.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "native/ucp.hpp"
#include "transport/batch.hpp"
#include "transport/control.hpp"
#include "transport/rank_pair.hpp"
#include "transport/ucx.hpp"
#include "transport/ucx_net.hpp"

namespace mobula::transport::testing {
namespace {

constexpr Rank r0{0}, r1{1};
constexpr Token secret{0x1122334455667788U, 0x99aabbccddeeff00U};
constexpr Incarnation incarnations[] = {Incarnation{7}, Incarnation{8}};
using Bytes = std::vector<std::byte>;

Seal seal_of_rank_1() { return {secret, 1, static_cast<std::uint32_t>(index(incarnations[1]))}; }

template <class Header>
Bytes message(const Header& header, std::size_t more = 0) {
    Bytes bytes(sizeof header + more);
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
}

Bytes batch_of_one(const Seal& seal) {
    constexpr std::string_view record = "from a stranger";
    Bytes bytes = message(BatchHeader{.seal = seal, .records = 1}, space_of_record(record.size()));
    put_record(bytes.data() + sizeof(BatchHeader), bytes_of(record));
    return bytes;
}

/// A process that has an address can send. Nothing here is of the engine's own network but the ids.
class Stranger {
public:
    explicit Stranger(const std::vector<std::byte>& address)
        : context_(native::UcpNeeds{.endpoints_expected = 1}),
          worker_(context_),
          victim_(
              worker_, address, [](void*, ucp_ep_h, ucs_status_t) {}, nullptr) {}

    /// True when UCX has taken all of it over; `drive` moves the victim along.
    bool send(MessageId id, std::span<const std::byte> header, std::span<const std::byte> bytes,
              std::uint32_t flags, const std::function<void()>& drive) {
        ucp_request_param_t param{};
        param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
        param.flags = flags;
        const auto request =
            ucp_am_send_nbx(victim_.get(), static_cast<unsigned>(id), header.data(), header.size(),
                            bytes.data(), bytes.size(), &param);
        if (!UCS_PTR_IS_PTR(request)) return request == nullptr;
        const Time end = Clock::now() + std::chrono::seconds(20);
        while (ucp_request_check_status(request) == UCS_INPROGRESS && Clock::now() < end) {
            progress();
            drive();
        }
        const bool sent = ucp_request_check_status(request) == UCS_OK;
        ucp_request_free(request);
        return sent;
    }
    void progress() { ucp_worker_progress(worker_.get()); }

private:
    native::UcpContext context_;
    native::UcpWorker worker_;
    native::UcpEndpoint victim_;
};

class Strangers : public ::testing::Test {
protected:
    Strangers() {
        Meeting meeting;
        meeting.nodes = {Node{0}, Node{0}};
        meeting.incarnations = {incarnations[0], incarnations[1]};
        meeting.mapped = {false, false};
        meeting.token = secret;
        for (const auto& rank : ranks_) meeting.addresses.push_back(rank->address());
        for (std::size_t r = 0; r < 2; ++r) {
            meeting.self = Rank{static_cast<std::uint32_t>(r)};
            ranks_[r]->start(meeting, {memory_.data(), memory_.size()}, heard_[r]);
        }
        stranger_ = std::make_unique<Stranger>(ranks_[0]->address());
    }

    void progress() {
        for (const auto& rank : ranks_) rank->progress();
    }
    bool until(const std::function<bool()>& holds) {
        const Time end = Clock::now() + std::chrono::seconds(20);
        while (!holds() && Clock::now() < end) {
            stranger_->progress();
            progress();
        }
        return holds();
    }
    void send(MessageId id, const Bytes& bytes, std::uint32_t flags = UCP_AM_SEND_FLAG_EAGER) {
        ASSERT_TRUE(stranger_->send(id, {}, bytes, flags, [this] { progress(); }));
    }
    [[nodiscard]] std::uint64_t refused() const { return ranks_[0]->counters().messages_refused; }
    /// Rank 1 still reaches rank 0.
    bool talk() {
        const std::uint64_t before = heard_[0].records;
        ranks_[1]->send(r0, bytes_of("from a rank"));
        return until([&] { return heard_[0].records == before + 1; });
    }

    std::vector<std::byte> memory_ = std::vector<std::byte>(4096);
    std::array<Recorder, 2> heard_;
    std::array<std::unique_ptr<UcxTransport>, 2> ranks_{make_ucx_transport({}, 2, 2),
                                                        make_ucx_transport({}, 2, 2)};
    std::unique_ptr<Stranger> stranger_;
};

TEST_F(Strangers, are_counted_and_harm_nobody) {
    ASSERT_TRUE(talk());
    Seal nearly = seal_of_rank_1();
    nearly.token[1] ^= 1;
    std::uint64_t sent = 0;
    const auto try_it = [&](MessageId id, const Bytes& bytes,
                            std::uint32_t flags = UCP_AM_SEND_FLAG_EAGER) {
        send(id, bytes, flags);
        ++sent;
    };
    for (const Seal& seal : {Seal{}, nearly}) {
        try_it(MessageId::batch, batch_of_one(seal));
        for (const auto kind : {ControlKind::beat, ControlKind::death, ControlKind::left,
                                ControlKind::pull, ControlKind::closed}) {
            for (const std::uint32_t subject : {0U, 1U}) {
                try_it(MessageId::control,
                       message(Control{.seal = seal, .kind = kind, .subject = subject}));
            }
        }
        try_it(MessageId::batch, message(BatchHeader{.seal = seal, .records = 0xFFFF}));
        try_it(MessageId::chunk, message(ChunkHeader{.seal = seal}));
        // Of what comes by rendezvous only an announcement is there, however large it claims to be.
        for (const auto id : {MessageId::batch, MessageId::control, MessageId::chunk}) {
            Bytes large = message(seal, std::size_t{1} << 20U);
            try_it(id, large, UCP_AM_SEND_FLAG_RNDV);
        }
    }
    std::mt19937 random(1);
    for (int n = 0; n < 200; ++n) {
        Bytes bytes(random() % 100);
        for (auto& byte : bytes) byte = static_cast<std::byte>(random());
        try_it(n % 2 == 0 ? MessageId::batch : MessageId::control, bytes);
    }
    EXPECT_TRUE(until([&] { return refused() == sent; })) << refused() << " of " << sent;
    EXPECT_EQ(heard_[0].records, 1U);
    EXPECT_TRUE(talk());
    EXPECT_TRUE(heard_[0].lost.empty() && heard_[0].fenced.empty());
    EXPECT_TRUE(heard_[1].lost.empty() && heard_[1].fenced.empty());
}

TEST_F(Strangers, harm_nobody_by_ids_that_the_engine_does_not_use) {
    ASSERT_TRUE(talk());
    for (unsigned id = 0; id < 40; ++id) send(MessageId{id}, message(Seal{}, 20));
    EXPECT_TRUE(until([&] { return refused() == native::UcpWorker::ids; })) << refused();
    EXPECT_TRUE(talk());
}

TEST_F(Strangers, of_an_earlier_start_are_not_believed_and_nobody_is_blamed) {
    Seal seal = seal_of_rank_1();
    --seal.incarnation;
    send(MessageId::batch, batch_of_one(seal));
    send(MessageId::batch, message(BatchHeader{.seal = seal, .records = 5}));
    send(MessageId::control, message(Control{.seal = seal, .kind = ControlKind::death}));
    send(MessageId::control, message(Control{.seal = seal, .kind = ControlKind{99}}));
    seal.sender = 17;
    send(MessageId::control, message(Control{.seal = seal, .kind = ControlKind{99}}));
    ASSERT_TRUE(talk());
    EXPECT_EQ(heard_[0].records, 1U);
    EXPECT_TRUE(heard_[0].lost.empty() && heard_[0].fenced.empty());
    EXPECT_EQ(refused(), 0U);
}

TEST_F(Strangers, who_know_the_token_are_ranks_and_are_blamed) {
    ASSERT_TRUE(talk());
    send(MessageId::batch, message(BatchHeader{.seal = seal_of_rank_1(), .records = 5}));
    ASSERT_TRUE(until([&] { return !heard_[0].lost.empty(); }));
    EXPECT_EQ(heard_[0].lost.front(), r1);
    EXPECT_NE(heard_[0].reasons.front().find("fewer records than it announced"), std::string::npos);
}

}  // namespace
}  // namespace mobula::transport::testing
