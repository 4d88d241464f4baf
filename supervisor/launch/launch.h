/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_LAUNCH_LAUNCH_H
#define URUNC_LAUNCH_LAUNCH_H

/*
 * launch.h - the process that becomes a monitor, or holds the namespaces of a sandbox. It
 * runs in a child (JOB_LAUNCH), which is the task's init from its birth on: it has its pid
 * namespace already.
 *
 *   1 cgroups, namespaces, host name, limits of resources
 *   2 a root of its own, in its own mount namespace: nothing of it is seen on the node,
 *     and all of it goes with the process
 *   3 {"ready":true, ...} is told; it waits. End of file: our shim is dead, it exits
 *   4 it is told {"argv":[...]}; user, capabilities, no_new_privs; {"exec":true} is
 *     told; exec, which closes its end
 *
 * That of a sandbox has an empty root instead, sets its sysctls, has no capabilities when
 * it is ready, and 4 is: told {"pause":true}, {"exec":true} is told, its end is closed.
 * Then it reaps who loses his parent in its pid namespace, until SIGTERM or SIGINT.
 *
 * Any failure is told as {"error":"...","code":n}, and is its end.
 *
 * The root is a tmpfs, read only as all in it but /tmp and, if asked, the rootfs:
 *
 *   /cntrRootfs     the container's rootfs; read only, unless "writable" and mounted writable
 *   /usr, /lib, ... the host's, read only: for the monitor's libraries and data
 *   /dev            null, zero, full, random, urandom, net/tun, vhost-net; kvm, unless "accel" is
 *                   "none"; the last three if the host has them. CAP_MKNOD is never given
 *   /proc           of its pid namespace, if that is its own; what the spec masks is empty
 *   /tmp            empty
 */

#include "journal/base/err.h"

#include <json-c/json.h>
#include <stdbool.h>

#define LAUNCH_ROOTFS "/cntrRootfs" /* in the monitor's root */

/**
 * launch_init() - the job; it does not come back when all goes well
 * @args:	{ "rootfs": path, "writable": bool, "place": a folder to build the root over,
 *		  "namespaces": as in the spec, "hostname": text, "cgroups": [path],
 *		  "process": as in the spec, "program": path of the monitor,
 *		  "shown": [folder of the host], "accel": "kvm" | "may" | "none",
 *		  "private_pids": bool, "masked": as in the spec }
 *		or { "pause": the sandbox's id, "place", "namespaces", "hostname", "cgroups",
 *		  "process", "sysctls": { name: text } }
 *
 * It has its talk at SPAWN_TALK_FD.
 */
int launch_init(json_object *args, struct err *err);

/* ---- between the files of this folder ----------------------------------------- */

/* console.c: a terminal of its own, if one is asked for; its other end is the shim's. */
int launch_console(json_object *args, struct err *err);
/* space.c: join the cgroups; enter or make the namespaces; the host name. */
int launch_space(json_object *args, struct err *err);
/* root.c: build the root and stand in it; or in an empty one. */
int launch_root(json_object *args, struct err *err);
int launch_empty_root(json_object *args, struct err *err);
/* pause.c: all of it, for a sandbox. */
int launch_pause(json_object *args, struct err *err);
/* init.c: tell the shim; and wait for its order, which has such a @member. *ret is the
 * caller's to json_object_put(). */
int launch_say(json_object *message, struct err *err);
int launch_order(json_object **ret, const char *member, enum json_type type, struct err *err);
/* become.c: what must be done while /proc is still the host's; and the last things. */
int launch_limits(json_object *process, struct err *err);
int launch_user(json_object *process, struct err *err);
/* kvm.c: does a guest run? 0, or why not. @host: with a processor like the host's, as
 * a monitor that could do without will ask for. Takes at most 2 s. */
int launch_kvm(bool host, struct err *err);

/* Members, or a default; never NULL for text. */
const char *launch_text(json_object *o, const char *name);
json_object *launch_member(json_object *o, const char *name, enum json_type type);

#endif
