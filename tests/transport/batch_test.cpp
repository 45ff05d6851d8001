// SPDX-License-Identifier: Apache-2.0
// Goal: what was put into a batch comes out of it, and no bytes whatever make the reader read
// outside of them. Method: round trips at all sizes; every truncation and every single changed bit
// of a sound batch; seeded random bytes. Buffers end where the message ends, so that a sanitizer
// sees a byte too far.
#include "transport/batch.hpp"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "transport/control.hpp"

namespace mobula::transport {
namespace {

using Bytes = std::vector<std::byte>;

Bytes make_batch(const std::vector<Bytes>& records) {
    Bytes batch(sizeof(BatchHeader));
    for (const auto& record : records) {
        const std::size_t at = batch.size();
        batch.resize(at + space_of_record(record.size()), std::byte{0xFF});
        put_record(batch.data() + at, record);
    }
    BatchHeader header;
    header.seal.sender = 3;
    header.sequence = 7;
    header.records = static_cast<std::uint16_t>(records.size());
    std::memcpy(batch.data(), &header, sizeof header);
    return batch;
}

std::vector<Bytes> records_of(const Bytes& batch) {
    std::vector<Bytes> records;
    for_each_record(batch, [&](std::span<const std::byte> record) {
        records.emplace_back(record.begin(), record.end());
    });
    return records;
}

/// Reads whatever the reader is ready to believe; its own bounds are the test.
std::size_t read_all(const Bytes& message) {
    std::size_t sum = 0;
    if (!batch_fault(message).empty()) return 0;
    if (batch_header(message).format == BatchHeader::part_format) return message.size();
    for_each_record(message, [&](std::span<const std::byte> record) {
        for (const std::byte byte : record) sum += static_cast<std::size_t>(byte);
    });
    return sum;
}

std::vector<Bytes> some_records() {
    std::vector<Bytes> records;
    for (std::size_t size = 1; size < 70; ++size) {
        records.emplace_back(size, static_cast<std::byte>(size));
    }
    return records;
}

TEST(Batch, GivesBackWhatWasPut) {
    const auto records = some_records();
    const Bytes batch = make_batch(records);
    EXPECT_EQ(batch_fault(batch), "");
    EXPECT_EQ(records_of(batch), records);
    EXPECT_EQ(batch_header(batch).seal.sender, 3U);
    EXPECT_EQ(batch_header(batch).sequence, 7U);
}

TEST(Batch, OfNothingIsSound) { EXPECT_EQ(batch_fault(make_batch({})), ""); }

TEST(Batch, AlignsEachRecord) {
    const Bytes batch = make_batch(some_records());
    for_each_record(batch, [&](std::span<const std::byte> record) {
        EXPECT_EQ((record.data() - batch.data()) % 8, 0);
    });
}

TEST(Batch, IsRefusedWhenTruncatedAnywhere) {
    const Bytes whole = make_batch(some_records());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_NE(batch_fault(part), "") << "cut after " << size;
    }
}

TEST(Batch, IsRefusedWithBytesBehind) {
    Bytes batch = make_batch(some_records());
    batch.resize(batch.size() + 8);
    EXPECT_NE(batch_fault(batch), "");
}

TEST(Batch, SurvivesEveryChangedBit) {
    const Bytes whole = make_batch({Bytes(9), Bytes(64), Bytes(1)});
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
        Bytes changed = whole;
        changed[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        (void)read_all(changed);
    }
}

TEST(Batch, SurvivesRandomBytes) {
    std::mt19937_64 random(20240607);
    int believed = 0;
    for (int round = 0; round < 200'000; ++round) {
        Bytes message(random() % 200);
        for (auto& byte : message) byte = static_cast<std::byte>(random() >> 56U);
        if (round % 2 == 0 && message.size() >= sizeof(BatchHeader)) {
            // Half of them get past the header, with lengths that are nearly believable.
            BatchHeader header;
            header.records = static_cast<std::uint16_t>(random() % 4);
            if (random() % 4 == 0) header.format = BatchHeader::part_format;
            std::memcpy(message.data(), &header, sizeof header);
            for (std::size_t at = sizeof header; at + 8 <= message.size(); at += 8) {
                const RecordPrefix prefix{static_cast<std::uint32_t>(random() % 64), 0};
                if (random() % 2 == 0) std::memcpy(message.data() + at, &prefix, sizeof prefix);
            }
        }
        believed += batch_fault(message).empty() ? 1 : 0;
        (void)read_all(message);
        if (control_fault(message).empty()) (void)control_header(message);
    }
    EXPECT_GT(believed, 0) << "the random messages never reach the reader";
}

TEST(Part, IsRefusedWhenItEndsBeyondItsRecord) {
    Bytes message(part_overhead + 10);
    const auto fault_with = [&](std::uint32_t record_bytes, std::uint32_t offset) {
        BatchHeader header;
        header.format = BatchHeader::part_format;
        const PartPrefix prefix{record_bytes, offset};
        std::memcpy(message.data(), &header, sizeof header);
        std::memcpy(message.data() + sizeof header, &prefix, sizeof prefix);
        return batch_fault(message);
    };
    EXPECT_EQ(fault_with(10, 0), "");
    EXPECT_EQ(fault_with(1000, 990), "");
    EXPECT_NE(fault_with(9, 0), "");
    EXPECT_NE(fault_with(1000, 991), "");
    EXPECT_NE(fault_with(1000, 0xFFFFFFFF), "") << "offsets do not wrap";
    EXPECT_NE(batch_fault(std::span(message).first(part_overhead)), "") << "no bytes";
}

TEST(Control, IsRefusedWhenItIsNone) {
    Control control{.kind = ControlKind::beat};
    Bytes message(sizeof control);
    std::memcpy(message.data(), &control, sizeof control);
    EXPECT_EQ(control_fault(message), "");
    EXPECT_NE(control_fault(std::span(message).first(47)), "");
    control.kind = static_cast<ControlKind>(99);
    std::memcpy(message.data(), &control, sizeof control);
    EXPECT_NE(control_fault(message), "");
    message.resize(sizeof control + control_tail_max + 1);
    EXPECT_NE(control_fault(message), "");
}

}  // namespace
}  // namespace mobula::transport
