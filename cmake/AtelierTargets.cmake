# SPDX-License-Identifier: MIT
# One CMake target per folder of src/, and the table of who may depend on whom (docs: architecture.md).
find_package(Threads REQUIRED)
# Static: no jumps through a table at every value, and one library less where it runs.
set(Boost_USE_STATIC_LIBS ON)
find_package(Boost 1.81 REQUIRED COMPONENTS json url)
find_package(OpenSSL 3.0 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_path(LZ4_INCLUDE_DIR lz4.h REQUIRED)
find_library(LZ4_LIBRARY lz4 REQUIRED)
add_library(LZ4::LZ4 UNKNOWN IMPORTED)
set_target_properties(LZ4::LZ4 PROPERTIES IMPORTED_LOCATION ${LZ4_LIBRARY}
  INTERFACE_INCLUDE_DIRECTORIES ${LZ4_INCLUDE_DIR})
find_path(HIREDIS_INCLUDE_DIR hiredis/hiredis.h REQUIRED)
find_library(HIREDIS_LIBRARY hiredis REQUIRED)
add_library(hiredis::hiredis UNKNOWN IMPORTED)
set_target_properties(hiredis::hiredis PROPERTIES IMPORTED_LOCATION ${HIREDIS_LIBRARY}
  INTERFACE_INCLUDE_DIRECTORIES ${HIREDIS_INCLUDE_DIR})
find_library(JEMALLOC_LIBRARY NAMES jemalloc_pic jemalloc REQUIRED)

# An executable with the property ATELIER_PORTABLE needs nothing but glibc where it runs (atelier-worker: on
# machines with Ubuntu 22.04 or newer); all others take the distribution's shared libraries and their updates.
define_property(TARGET PROPERTY ATELIER_PORTABLE)
set(portable "$<BOOL:$<TARGET_PROPERTY:ATELIER_PORTABLE>>")
foreach(library ssl crypto z)
  find_library(ATELIER_STATIC_${library} lib${library}.a REQUIRED)
endforeach()
add_library(atelier_openssl INTERFACE)
target_link_libraries(atelier_openssl INTERFACE
  "$<IF:${portable},${ATELIER_STATIC_ssl};${ATELIER_STATIC_crypto},OpenSSL::SSL>")
add_library(atelier_crypto INTERFACE)
target_link_libraries(atelier_crypto INTERFACE
  "$<IF:${portable},${ATELIER_STATIC_crypto},OpenSSL::Crypto>")
add_library(atelier_zlib INTERFACE)
target_link_libraries(atelier_zlib INTERFACE "$<IF:${portable},${ATELIER_STATIC_z},ZLIB::ZLIB>")

find_program(ATELIER_CCACHE ccache)
if(ATELIER_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${ATELIER_CCACHE})
endif()

add_library(atelier_flags INTERFACE)
target_include_directories(atelier_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(atelier_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion -Werror)
target_compile_definitions(atelier_flags INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ASIO_DISABLE_BOOST_COROUTINE BOOST_JSON_NO_LIB)
target_link_libraries(atelier_flags INTERFACE
  "$<IF:${portable},atelier_fmt,fmt::fmt>" Boost::headers Threads::Threads)
target_link_options(atelier_flags INTERFACE -fuse-ld=lld-19)

# The allowed arrows (style.md section 1). A folder may depend on those named here and on nothing else of
# ours.
set(ATELIER_ALLOWED_base "")
set(ATELIER_ALLOWED_runtime base)
set(ATELIER_ALLOWED_core base)
set(ATELIER_ALLOWED_comfy base)
set(ATELIER_ALLOWED_link base)
set(ATELIER_ALLOWED_journal base core runtime)
set(ATELIER_ALLOWED_journal_redis base core runtime net)
set(ATELIER_ALLOWED_files base runtime)
set(ATELIER_ALLOWED_net base runtime)
set(ATELIER_ALLOWED_image base runtime image_request)
set(ATELIER_ALLOWED_provider base runtime)
set(ATELIER_ALLOWED_workshop base runtime core journal files provider)
set(ATELIER_ALLOWED_gateway base runtime core link net comfy files image image_request workshop)
set(ATELIER_ALLOWED_agent base runtime link net comfy files)
set(ATELIER_ALLOWED_rehearsal base runtime net comfy image image_video)
set(ATELIER_ALLOWED_simulate base core)

# atelier_library(<folder>[_<backend>] FOLDER <folder> SOURCES ... DEPENDS atelier::x ... EXTERNAL
# OpenSSL::Crypto ...)
function(atelier_library name)
  cmake_parse_arguments(A "" "FOLDER" "SOURCES;DEPENDS;EXTERNAL" ${ARGN})
  if(NOT A_FOLDER)
    set(A_FOLDER ${name})
  endif()
  # A backend may more than its folder.
  set(allowed ${ATELIER_ALLOWED_${A_FOLDER}} ${ATELIER_ALLOWED_${name}})
  foreach(dependency IN LISTS A_DEPENDS)
    string(REPLACE "atelier::" "" other ${dependency})
    if(NOT other IN_LIST allowed AND NOT other STREQUAL A_FOLDER)
      message(FATAL_ERROR "src/${A_FOLDER} may not depend on ${dependency}: see cmake/AtelierTargets.cmake")
    endif()
    if(NOT TARGET ${dependency})
      message(STATUS "src/${A_FOLDER} is left out: ${dependency} is not there yet")
      return()
    endif()
  endforeach()
  add_library(atelier_${name} STATIC ${A_SOURCES})
  add_library(atelier::${name} ALIAS atelier_${name})
  target_link_libraries(atelier_${name} PUBLIC atelier_flags ${A_DEPENDS} PRIVATE ${A_EXTERNAL})
endfunction()
