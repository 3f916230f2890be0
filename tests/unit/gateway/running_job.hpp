// SPDX-License-Identifier: MIT
#pragma once
// A job that runs, and who looks on.

#include "unit/gateway/fake_socket.hpp"

namespace atelier::gateway::test {

/// A job of participant 7's tab "mine", running on a worker.
struct Running {
  Running() {
    job = rig.submit(7, uuid(1), "mine");
    rig.join();
    rig.started(job);
  }
  void quiet() {
    rig.runtime.advance(milliseconds{2'000});
    for (Tab* tab : {&mine, &other, &theirs}) tab->take();
  }
  void end(core::Outcome outcome = core::Outcome::succeeded) {
    rig.computed(job);
    rig.ended(job, outcome);
  }
  Rig rig;
  Tab mine{rig, 7, "mine"};
  Tab other{rig, 7, "other"};
  Tab theirs{rig, 8, "mine"};  // the same client id on another seat
  JobId job;
};

}  // namespace atelier::gateway::test
