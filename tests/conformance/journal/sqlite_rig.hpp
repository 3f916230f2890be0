// SPDX-License-Identifier: MIT
#pragma once
// A SQLite journal in a folder of its own, on the real runtime.

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <atomic>
#include <string>

#include "journal/sqlite/sqlite_journal.hpp"
#include "runtime/real_runtime.hpp"
#include "suite.hpp"
#include "temp_folder.hpp"

namespace atelier::journal::sqlite {

class SqliteRig final : public Rig {
 public:
  Runtime& runtime() override { return real_runtime; }
  Result<std::unique_ptr<Journal>> open() override {
    broken = false;  // a new process on a mended disk
    auto inject = [this](FileOperation operation, std::string_view) {
      if (operation == FileOperation::sync) ++syncs;
      if (operation == FileOperation::read) return SQLITE_OK;
      if (broken) return operation == FileOperation::sync ? SQLITE_IOERR_FSYNC : SQLITE_OK;
      return full && operation == FileOperation::write ? SQLITE_FULL : SQLITE_OK;
    };
    return sqlite::open(real_runtime, {path(), inject});
  }
  std::unique_ptr<StoreReader> reader() override {
    auto opened = open_reader(path());
    REQUIRE(opened);
    return std::move(*opened);
  }
  void run_until(const bool& done) override {
    real_runtime.context().restart();
    while (!done) REQUIRE(real_runtime.context().run_one() == 1);
  }
  void set_full(bool now) override { full = now; }
  void break_disk() override { broken = true; }

  [[nodiscard]] std::string path() const { return folder.file("atelier.db"); }

  TempFolder folder;
  RealRuntime real_runtime;
  std::atomic<bool> full{false}, broken{false};
  std::atomic<int> syncs{0};
};

}  // namespace atelier::journal::sqlite
