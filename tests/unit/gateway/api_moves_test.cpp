// SPDX-License-Identifier: MIT
// One move and its undo: the instructor's list is as it was before, also of whom it took along.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <random>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

namespace json = boost::json;
using enum net::Method;
using Ids = std::vector<std::uint64_t>;

Ids ids_of(const std::vector<JobId>& jobs) {
  Ids ids;
  for (const JobId job : jobs) ids.push_back(job.value);
  return ids;
}

struct List {
  /// Jobs 1 to `count`, of three participants in turn.
  explicit List(int count, std::string as = Rig::kInstructor) : token(std::move(as)) {
    for (int i = 1; i <= count; ++i) rig.submit(1 + i % 3, uuid(i));
  }
  json::value send(net::Method method, const std::string& path, std::string body) {
    const Reply reply = rig.api(method, path, std::move(body), token);
    INFO(reply.body);
    REQUIRE(reply.status == 200);
    return reply.json();
  }
  json::value move(std::uint64_t job, std::string_view place, std::uint64_t anchor = 0) {
    const std::string beside = anchor == 0 ? "" : fmt::format(R"(,"anchor":{})", anchor);
    return send(post, fmt::format("/jobs/{}/move", job), fmt::format(R"({{"place":"{}"{}}})", place, beside));
  }
  json::value act(std::string_view action, const Ids& jobs, std::string_view rest) {
    return send(post, "/jobs/actions",
                fmt::format(R"({{"action":"{}","jobs":[{}],{}}})", action, fmt::join(jobs, ","), rest));
  }
  json::value leave(std::uint64_t job) { return send(delete_, fmt::format("/jobs/{}/move", job), ""); }
  json::value undo(const json::value& answer) {
    const json::value& how = answer.at("undo");
    REQUIRE(how.is_object());
    const std::string path = text(how.at("path"));
    REQUIRE(path.starts_with("/api/v1/"));
    return send(how.at("method") == "DELETE" ? delete_ : post, path.substr(7),
                how.at("body").is_null() ? "" : text(how.at("body")));
  }
  /// The jobs that wait.
  Ids order() {
    Ids jobs;
    for (const json::value& job : send(get, "/queue", "").at("jobs").as_array()) {
      if (job.at("worker").is_null()) jobs.push_back(job.at("job").to_number<std::uint64_t>());
    }
    return jobs;
  }
  [[nodiscard]] const core::WorkshopFacts& facts() const { return rig.workshop->core().workshop(); }
  [[nodiscard]] Ids moved() const { return ids_of(facts().moved); }
  /// Without an order of its own.
  [[nodiscard]] Ids along() const {
    Ids ids = ids_of(facts().moved_along);
    std::ranges::sort(ids);
    return ids;
  }
  /// The same command again changes nothing, and no entry says that it was sent.
  void check_nothing(const auto& command) {
    const Sequence last = facts().last_sequence;
    const json::value answer = command();
    CHECK(answer.at("undo").is_null());
    if (answer.as_object().contains("changed")) CHECK(answer.at("changed") == false);
    CHECK(facts().last_sequence == last);
  }
  std::string token;
  Rig rig;
};

TEST_CASE("a job that was alone in the list goes back before those whom its second move took along") {
  List list(6);
  list.move(4, "first");
  const json::value down = list.move(4, "before", 6);
  REQUIRE(list.order() == Ids{1, 2, 3, 5, 4, 6});
  const json::value back = list.undo(down);
  CHECK(list.order() == Ids{4, 1, 2, 3, 5, 6});
  CHECK(list.moved() == Ids{4});
  list.undo(back);
  CHECK(list.order() == Ids{1, 2, 3, 5, 4, 6});
}

TEST_CASE("the undo of one move passes over neighbours that have started meanwhile") {
  List list(8);
  list.act("move", {7, 8, 6}, R"("place":"first")");
  const json::value down = list.move(8, "after", 5);
  REQUIRE(list.order() == Ids{7, 6, 1, 2, 3, 4, 5, 8});
  list.rig.join();  // 7 starts, behind which 8 stood
  CHECK(list.undo(down).at("done") == 1);
  CHECK(list.order() == Ids{8, 6, 1, 2, 3, 4, 5});
  const json::value last = list.move(8, "last");
  list.rig.finish(JobId{7});  // 6 starts, before which 8 stood
  list.undo(last);
  CHECK(list.order() == Ids{8, 1, 2, 3, 4, 5});
  list.move(2, "first");
  const json::value out = list.leave(2);
  list.rig.finish(JobId{6});  // 8 starts, behind which nobody stood
  list.undo(out);
  CHECK(list.moved() == Ids{2});
}

TEST_CASE("a move that changes nothing is not recorded, wherever the job was put") {
  List list(8);
  const auto twice = [&](std::uint64_t job, std::string_view place, std::uint64_t anchor = 0) {
    CAPTURE(place);
    CHECK(list.move(job, place, anchor).at("changed") == true);
    const Ids order = list.order();
    list.check_nothing([&] { return list.move(job, place, anchor); });
    CHECK(list.order() == order);
  };
  twice(4, "first");
  twice(5, "last");
  twice(7, "before", 2);
  twice(6, "after", 3);
  twice(5, "before", 6);
  twice(4, "after", 6);
  REQUIRE(list.order() == Ids{1, 7, 2, 3, 5, 6, 4, 8});
  // Where a job stands because it came along, it is put by a move only.
  twice(1, "first");
  CHECK(list.along() == Ids{2, 3});
}

TEST_CASE("several jobs that stand as asked are not moved again") {
  for (const std::string_view place : {R"("place":"first")", R"("place":"last")",
                                       R"("place":"before","anchor":2)", R"("place":"after","anchor":3)"}) {
    CAPTURE(place);
    List list(8);
    list.move(7, "after", 1);
    list.act("move", {6, 4, 5}, place);
    const Ids order = list.order();
    list.check_nothing([&] { return list.act("move", {6, 4, 5}, place); });
    CHECK(list.order() == order);
  }
}

TEST_CASE("a participant's own jobs that stand last as asked are not moved again") {
  List list(12, Rig::kTokens.token_of(ParticipantId{1}));
  list.act("move", {6, 3}, R"("place":"last")");
  REQUIRE(list.order() == Ids{9, 12, 6, 3});
  list.check_nothing([&] { return list.act("move", {6, 3}, R"("place":"last")"); });
  list.act("move", {3, 6}, R"("place":"last")");
  CHECK(list.order() == Ids{9, 12, 3, 6});
}

TEST_CASE("a job that came along comes along again when its move is undone, and leaves with the others") {
  List list(8);
  list.move(1, "after", 6);
  REQUIRE(list.moved() == Ids{2, 3, 4, 5, 6, 1});
  const json::value up = list.move(5, "after", 3);
  REQUIRE(list.along() == Ids{2, 3, 4, 6});
  const json::value back = list.undo(up);
  CHECK(list.moved() == Ids{2, 3, 4, 5, 6, 1});
  CHECK(list.along() == Ids{2, 3, 4, 5, 6});
  list.undo(back);
  CHECK(list.along() == Ids{2, 3, 4, 6});
  CHECK(list.moved() == Ids{2, 3, 5, 4, 6, 1});
  list.undo(up);
  const json::value out = list.leave(4);
  list.undo(out);
  CHECK(list.moved() == Ids{2, 3, 4, 5, 6, 1});
  CHECK(list.along() == Ids{2, 3, 4, 5, 6});
  list.leave(1);
  CHECK(list.moved().empty());
  CHECK(list.order() == Ids{1, 2, 3, 4, 5, 6, 7, 8});
}

TEST_CASE("a job that came along with one that has started meanwhile leaves the list by the undo") {
  List list(6);
  list.move(2, "after", 4);
  const json::value up = list.move(4, "first");
  list.rig.api(patch, "/jobs/4", R"({"held":true})");
  list.rig.api(patch, "/participants/2", R"({"held":true})");
  list.rig.api(patch, "/jobs/3", R"({"held":true})");
  list.rig.join();  // 2 starts
  REQUIRE(list.rig.facts(JobId{2}).lease);
  list.undo(up);
  CHECK(list.moved().empty());
}

TEST_CASE("a participant's undo passes over what has started, and never touches the instructor's list") {
  List list(12, Rig::kTokens.token_of(ParticipantId{1}));
  REQUIRE(list.order() == Ids{3, 6, 9, 12});
  const json::value first = list.move(12, "first");
  const json::value down = list.move(12, "after", 6);
  REQUIRE(list.order() == Ids{3, 6, 12, 9});
  list.rig.api(patch, "/participants/2", R"({"held":true})");
  list.rig.api(patch, "/participants/3", R"({"held":true})");
  list.rig.join();  // 3 starts, before which 12 stood
  list.undo(down);
  CHECK(list.order() == Ids{12, 6, 9});
  list.undo(first);
  CHECK(list.order() == Ids{6, 9, 12});
  list.rig.api(post, "/jobs/9/move", R"({"place":"first"})");
  REQUIRE(list.moved() == Ids{9});
  list.check_nothing([&] { return list.act("undo_move", {9}, R"("list":[6])"); });
  CHECK(list.moved() == Ids{9});
}

TEST_CASE("whatever was moved before, an undo gives back the list and who came along") {
  for (std::uint32_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&random](std::uint64_t n) { return random() % n; };
    constexpr std::uint64_t kJobs = 10;
    List list(static_cast<int>(kJobs));
    const auto move = [&] {
      const std::uint64_t job = 1 + below(kJobs), other = 1 + (job + below(kJobs - 1)) % kJobs;
      constexpr std::array kPlaces{"first", "last", "before", "after"};
      const std::string place = kPlaces.at(below(4));
      const bool beside = place == "before" || place == "after";
      if (below(3) == 0) {
        Ids jobs{job};
        for (const std::uint64_t more : {1 + below(kJobs), 1 + below(kJobs)}) {
          if (more != job && more != other) jobs.push_back(more);
        }
        const std::string anchor = beside ? fmt::format(R"(,"anchor":{})", other) : "";
        return list.act("move", jobs, fmt::format(R"("place":"{}"{})", place, anchor));
      }
      if (beside) return list.move(job, place, other);
      return below(4) == 0 ? list.leave(job) : list.move(job, place);
    };
    for (std::uint64_t i = below(5); i > 0; --i) move();
    const Ids order = list.order(), moved = list.moved(), along = list.along();
    const json::value answer = move();
    const Ids then = list.order(), then_moved = list.moved(), then_along = list.along();
    if (answer.at("undo").is_null()) {
      REQUIRE(list.moved() == moved);
      REQUIRE(list.along() == along);
      continue;
    }
    CAPTURE(text(answer.at("undo")));
    const json::value back = list.undo(answer);
    REQUIRE(list.order() == order);
    REQUIRE(list.moved() == moved);
    REQUIRE(list.along() == along);
    list.undo(back);
    REQUIRE(list.order() == then);
    REQUIRE(list.moved() == then_moved);
    REQUIRE(list.along() == then_along);
  }
}

}  // namespace
}  // namespace atelier::gateway::test
