# SPDX-License-Identifier: Apache-2.0
# The pkg-config file beside this one knows what the library needs; here it is only given a name.
include(CMakeFindDependencyMacro)
find_dependency(PkgConfig)
set(mobula_saved_path "$ENV{PKG_CONFIG_PATH}")
set(ENV{PKG_CONFIG_PATH} "${CMAKE_CURRENT_LIST_DIR}/../../pkgconfig:$ENV{PKG_CONFIG_PATH}")
pkg_check_modules(mobula_PKG QUIET mobula)
set(ENV{PKG_CONFIG_PATH} "${mobula_saved_path}")

if(NOT mobula_PKG_FOUND)
  set(mobula_FOUND FALSE)
  set(mobula_NOT_FOUND_MESSAGE "pkg-config does not find mobula or a library that it needs")
elseif(NOT TARGET mobula::mobula)
  add_library(mobula::mobula INTERFACE IMPORTED)
  target_include_directories(mobula::mobula INTERFACE ${mobula_PKG_INCLUDE_DIRS})
  target_compile_options(mobula::mobula INTERFACE ${mobula_PKG_CFLAGS_OTHER})
  # The flags as they stand: a static library needs what it uses after itself.
  target_link_libraries(mobula::mobula INTERFACE ${mobula_PKG_LDFLAGS})
  target_compile_features(mobula::mobula INTERFACE cxx_std_20)
endif()
