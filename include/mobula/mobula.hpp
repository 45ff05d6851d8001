// SPDX-License-Identifier: Apache-2.0
#pragma once

/// All of mobula: tasks, actors and objects in one dataflow graph over the ranks of an MPI job.

#include <mobula/actor.hpp>
#include <mobula/array.hpp>
#include <mobula/error.hpp>
#include <mobula/group.hpp>
#include <mobula/job.hpp>
#include <mobula/object.hpp>
#include <mobula/options.hpp>
#include <mobula/promise.hpp>
#include <mobula/stream.hpp>
#include <mobula/task.hpp>
#include <mobula/travels.hpp>
