// SPDX-License-Identifier: Apache-2.0
#include "runtime/last_word.hpp"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <limits>
#include <utility>

#include "native/file.hpp"
#include "runtime/status.hpp"

namespace mobula::runtime {

namespace {

/// How long a rank waits to hear why the job ends before it leaves by itself.
constexpr std::chrono::seconds last_word{3};
/// How long the parent of a rank that was lost may take to say how it ended, and a dying rank to
/// tell the others.
constexpr int looks = 50;
constexpr int between_looks_ms = 20;
constexpr int rank_0_first_ms = 1000;

constexpr std::uint32_t nobody = std::numeric_limits<std::uint32_t>::max();

wire::Broken message_of(std::string_view reason, const Cause& cause) {
    return {cause.code, reason,
            cause.lost ? static_cast<std::uint32_t>(index(*cause.lost)) : nobody, cause.said};
}

bool begins_with(std::string_view text, std::string_view with) { return text.rfind(with, 0) == 0; }

void say(std::string_view sentence) noexcept {
    FixedText line;
    line.add("mobula: ").add(sentence.substr(0, FixedText::bytes_max - 9)).add("\n");
    [[maybe_unused]] const auto bytes =
        ::write(STDERR_FILENO, line.view().data(), line.view().size());
}

/// Adds " in step(...)" for what the calling thread runs.
void add_running(FixedText& text, std::string_view name) noexcept {
    if (name.empty()) return;
    text.add(" in ").add(name).add(name == "the driver" ? "" : "(...)");
}

}  // namespace

LastWord::LastWord(Network& network, std::string status_file, Actions actions)
    : network_(network),
      status_file_(std::move(status_file)),
      actions_(std::move(actions)),
      folder_(status_file_),
      process_(getpid()),
      place_(place_of(network.self())),
      spare_(::open("/dev/null", O_RDONLY | O_CLOEXEC)),
      lost_(network.ranks()) {
    static const int registered = on_exit(&at_exit, nullptr);
    static_cast<void>(registered);
    current_.store(this);
}

LastWord::~LastWord() { current_.store(nullptr); }

std::string LastWord::place_of(Rank rank) const {
    return "rank " + std::to_string(index(rank)) + " on node " +
           network_.cluster().host_names()[index(rank)];
}

Rank LastWord::speaker() noexcept {
    const std::lock_guard guard(mutex_);
    std::uint32_t rank = 0;
    while (rank < index(network_.self()) && lost_[rank]) ++rank;
    return Rank{rank};
}

void LastWord::begin(Cause cause) noexcept {
    {
        const std::lock_guard guard(mutex_);
        if (closed_ || begun_.exchange(true)) return;
        cause_ = std::move(cause);
        spare_ = native::Fd();  // for the files that are written now
    }
    network_.transport().stop_beating();
    pass_on();
}

bool LastWord::close(int code, bool needs_sentence) noexcept {
    const std::lock_guard guard(mutex_);
    code_ = code;
    // One that is just dying may have said so already, of which the network will tell.
    closed_ = !begun() && (!needs_sentence || folder_.take_word());
    return closed_;
}

void LastWord::lose(Rank rank, std::string_view how) noexcept {
    const Rank asked = speaker();
    {
        const std::lock_guard guard(mutex_);
        lost_[index(rank)] = true;
    }
    if (!begun() && native::lacks_descriptors()) {
        // It is this rank that cannot talk to the other one, and that one is not asked to say it.
        return begin({place_ + " cannot talk to rank " + std::to_string(index(rank)) + " (" +
                      std::string(how) + "): too many open files (ulimit -n); the job ends"});
    }
    if (!begun()) return begin({std::string(how), 1, rank});
    if (rank == asked) pass_on();
}

void LastWord::hear(Rank from, const wire::Broken& message) {
    Cause cause;
    cause.code = message.code;
    cause.reason = message.reason;
    if (message.lost < lost_.size()) cause.lost = Rank{message.lost};
    cause.said = message.said;
    if (index(from) < index(network_.self())) actions_.leave(cause.code);
    begin(std::move(cause));
    if (begun()) return;
    // The job ends already, of which that rank listens to nothing but this.
    network_.send(from, message_of({}, {{}, code_, {}, true}));
}

void LastWord::pass_on() noexcept {
    const Rank to = speaker();
    if (to == network_.self()) return speak();
    network_.send(to, message_of(cause_.reason, cause_));
    network_.flush();
    // The rank's goodbye, or its silence, ends this one as well.
    leave_after(last_word, cause_.code);
}

void LastWord::speak() noexcept {
    {
        const std::lock_guard guard(mutex_);
        if (std::exchange(spoken_, true)) return;
    }
    const std::string sentence =
        cause_.lost ? sentence_of_loss(*cause_.lost, cause_.reason) : cause_.reason;
    // A rank that hears nothing of rank 0 may itself be the one that is cut off: rank 0, if it
    // lives, finds out at the same time, and shall have the word.
    const bool may_be_cut_off = cause_.lost && network_.self() != driver_rank &&
                                cause_.reason.find("silent") != std::string::npos;
    if (may_be_cut_off && folder_.exists()) ::poll(nullptr, 0, rank_0_first_ms);
    if (folder_.take_word()) {
        if (!cause_.said) say(sentence);
        write(sentence);
    }
    const wire::Broken message = message_of(sentence, {{}, cause_.code, {}, true});
    for (std::size_t r = 0; r < lost_.size(); ++r) {
        const Rank rank{static_cast<std::uint32_t>(r)};
        if (rank != network_.self()) network_.send(rank, message);
    }
    network_.flush();
    leaves_.store(true);
    // The others shall hear it before this rank's end is a death to them: tick() leaves.
    leave_after(last_word, cause_.code);
}

void LastWord::write(const std::string& sentence) const noexcept {
    const std::string& file = status_file_;
    if (network_.self() == driver_rank || folder_.exists()) {
        write_status(file, cause_.code, sentence);
    } else if (!file.empty() && native::why_not_replaceable(file).empty()) {
        // The file was meant for rank 0, and may be none on this node.
        const std::string code = std::to_string(exit_status(cause_.code));
        static_cast<void>(
            native::replace_file(file, "exit " + code + "\nreason " + sentence + "\n"));
    }
}

std::string LastWord::sentence_of_loss(Rank rank, std::string_view how) const {
    std::string ending;
    // One that is silent may well live on.
    if (folder_.exists() && how.find("silent") == std::string_view::npos) {
        for (int n = 0; n < looks && ending.empty(); ++n) {
            ending = folder_.ending_of(rank);
            if (ending.empty()) ::poll(nullptr, 0, between_looks_ms);
        }
        // Where several died at once this rank need not have noticed the first one first.
        if (const auto first = folder_.first_end();
            first && begins_with(first->ending, "signal") && index(first->rank) < lost_.size()) {
            rank = first->rank;
            ending = folder_.ending_of(rank);
            if (ending.empty()) ending = first->ending;
        }
    }
    std::string sentence = place_of(rank);
    if (ending.empty()) {
        sentence += " died (" + std::string(how) + ")";
    } else {
        sentence += begins_with(ending, "exit") ? " ended with " : " died: ";
        sentence += ending;
    }
    if (const std::string had = actions_.describe_sent(rank); !had.empty()) {
        sentence += "; it had " + had + " to run";
    }
    return sentence + "; the job ends";
}

void LastWord::tick() noexcept {
    if (exits_.exchange(false)) begin(exit_);
    if (dying_.load() && !death_told_.load()) {
        begin({std::string(death_.view()), 1, {}, true});
        death_told_.store(true);
    }
    // The second tick after it was said: by then the others have heard why.
    if (leaves_.load() && ++ticks_ > 1) actions_.leave(cause_.code);
}

void LastWord::await() noexcept {
    for (;;) pause();
}

void LastWord::tell_death(fatal::Event& event) noexcept {
    LastWord* const self = current_.load();
    if (self == nullptr || getpid() != self->process_) return;
    event.said = true;
    if (self->begun()) return;  // of something else
    FixedText& text = self->death_;
    text.add(self->place_).add(" died: ").add(event.text.view());
    if (event.text.view().back() == ')') add_running(text, self->actions_.running_name());
    text.add("; the job ends");
    if (self->folder_.exists()) {
        if (!self->folder_.take_word()) return;
        say(text.view());
        return self->folder_.write_status(1, text.view());
    }
    say(text.view());
    self->dying_.store(true);
    for (int n = 0; n < looks / 2 && !self->death_told_.load(); ++n) {
        ::poll(nullptr, 0, between_looks_ms);
    }
}

void LastWord::at_exit(int code, void*) noexcept {
    LastWord* const self = current_.load();
    if (self == nullptr) return;
    if (getpid() != self->process_) {  // a forked child has no part in the network
        std::fflush(nullptr);
        _exit(code);
    }
    const int status = exit_status(code);
    const std::string_view name = self->actions_.running_name();
    const bool driver = name == "the driver";
    std::string sentence = self->place_ + " ended: exit(" + std::to_string(code) + ") was called";
    if (driver) {
        sentence = "the driver called exit(" + std::to_string(code) + ")";
    } else if (!name.empty()) {
        sentence += " in " + std::string(name) + "(...)";
    }
    // Only the driver can say that all is well.
    const int of_job = driver || status != 0 ? status : 1;
    // What this thread kept for itself is destroyed by now, and the engine keeps some: the
    // communication thread does the rest.
    {
        const std::lock_guard guard(self->mutex_);
        self->exit_ = {sentence + "; the job ends", of_job};
    }
    self->exits_.store(true);
    leave_after(last_word, of_job);
    await();
}

}  // namespace mobula::runtime
