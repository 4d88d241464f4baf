/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BUNDLE_HOOKS_H
#define URUNC_BUNDLE_HOOKS_H

/*
 * hooks.h - the steps of the spec's hooks: all of a kind are one. Pure.
 */

#include "journal/journal.h"

#include <json-c/json.h>
#include <stdbool.h>

/* @when: as in the spec, "createRuntime" and the like. */
bool hooks_any(json_object *request, const char *when);

/* What their step wants, see step/hook.c; the caller's to json_object_put(). NULL: no memory. */
json_object *hooks_want(const struct task_row *task, json_object *request, const char *when);

#endif
