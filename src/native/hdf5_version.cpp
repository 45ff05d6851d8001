// SPDX-License-Identifier: Apache-2.0
#include <H5public.h>

#include "native/hdf5.hpp"

namespace mobula::native {

std::string hdf5_version() {
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    return "HDF5 " + std::to_string(major) + "." + std::to_string(minor) + "." +
           std::to_string(release);
}

}  // namespace mobula::native
