// SPDX-License-Identifier: MIT
// The compiled part of {fmt}, for executables that may not need its shared library: its headers define the
// functions when they are included here, and leave these instantiations (fmt 9 and 10) to one such file.
#include <fmt/format-inl.h>

namespace detail = fmt::detail;

template auto detail::dragonbox::to_decimal(float x) noexcept -> detail::dragonbox::decimal_fp<float>;
template auto detail::dragonbox::to_decimal(double x) noexcept -> detail::dragonbox::decimal_fp<double>;
template auto detail::thousands_sep_impl(detail::locale_ref) -> detail::thousands_sep_result<char>;
template auto detail::decimal_point_impl(detail::locale_ref) -> char;
