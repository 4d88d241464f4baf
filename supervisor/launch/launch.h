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
 *   3 {"ready":true, ...} is told; it waits. End of file: our shim is dead, it exits.
 *     Told {"claim":true}, it says {"claimed":true} or {"busy":true} and waits on: see disk.c
 *     Told {"hook":as in the spec,"state":{...},"user":bool}, it runs that, as its own user
 *     or as the container's, says {"hooked":bool,"text":"..."} and waits on
 *     If it "holds", 2 comes now: told {"build":true}, it says {"built":true} and waits on
 *   4 it is told {"argv":[...]}; user, capabilities, no_new_privs; {"exec":true} is
 *     told; exec, which closes its end. What it has at SPAWN_CONTROL_FD is the monitor's
 *
 * That of a sandbox has an empty root instead, sets its sysctls, has no capabilities when
 * it is ready, and 4 is: told {"pause":true}, {"exec":true} is told, its end is closed.
 * Then it reaps who loses his parent in its pid namespace, until SIGTERM or SIGINT.
 *
 * Any failure is told as {"error":"...","code":n}, and is its end.
 *
 * The root is a tmpfs, read only as all in it but /tmp and, if asked, the rootfs:
 *
 *   /cntrRootfs     the container's rootfs; read only, unless "writable" and mounted writable;
 *                   with the spec's bind mounts if it is a share. Where they are mounted is
 *                   made in it, if it is not there
 *   /usr, /lib, ... the host's, read only: for the monitor's libraries and data
 *   /dev            null, zero, full, random, urandom, net/tun, vhost-net; kvm, unless "accel" is
 *                   "none"; the last three if the host has them. No monitor has CAP_MKNOD
 *   /proc           of its pid namespace, if that is its own; what the spec masks is empty
 *   /tmp            empty
 *   /share          virtiofsd's socket, if there is one
 *   /vaccel         the folder with the socket of vAccel's agent, read only, if the guest's
 *                   vsock is the monitor's own: /tmp/vaccel.sock_PORT leads there
 *
 * With a disk, the device under the container's rootfs, it has /boot/kernel and /dev/rootfs
 * in the place of /cntrRootfs.
 *
 * virtiofsd itself is launched so, too: it "serves". When it is ready its socket is there
 * already, for every user that can see it, and a monitor may connect.
 */

#include "journal/base/err.h"
#include "supervisor/unikernel/vsock.h" /* VSOCK_NAME */

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

/* In the monitor's root. */
#define LAUNCH_ROOTFS       "/cntrRootfs"
#define LAUNCH_KERNEL       "/boot/kernel" /* with a disk */
#define LAUNCH_DISK         "/dev/rootfs"
#define LAUNCH_SHARE        "/share"
#define LAUNCH_SHARE_NAME   "fs.sock"
#define LAUNCH_SHARE_SOCKET LAUNCH_SHARE "/" LAUNCH_SHARE_NAME
#define LAUNCH_SHARE_FD     64 /* of who serves: it listens at the socket */
#define LAUNCH_VSOCK_FD     65 /* the number of the guest's vsock is held there */
#define LAUNCH_VSOCK_SOCKET "/tmp/" VSOCK_NAME /* or it is the monitor's own, and there */
#define LAUNCH_AGENT        "/vaccel"

/**
 * launch_init() - the job; it does not come back when all goes well
 * @args:	{ "rootfs": path, "writable": bool, "place": a folder to build the root over,
 *		  "namespaces": as in the spec, "hostname": text, "cgroups": [path],
 *		  "process": as in the spec, "program": path of the monitor,
 *		  "shown": [folder of the host], "accel": "kvm" | "may" | "none",
 *		  "private_pids": bool, "masked": as in the spec, "share": folder of the
 *		  host with the socket, "serves": bool, "holds": bool,
 *		  "binds": see unikernel/binds.h,
 *		  "cid": the number of its vsock, or the first one to be tried; or
 *		  "agent": folder of the host with a socket "agent_name",
 *		  "disk": { "path", "major", "minor", "kernel": path in the rootfs } }
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
/* vsock.c: take a number, if one is wanted; "cid" of @ready: which one it is. */
int launch_vsock(json_object *args, json_object *ready, struct err *err);
/* root.c: build the root and stand in it; or in an empty one. */
int launch_root(json_object *args, struct err *err);
int launch_empty_root(json_object *args, struct err *err);
/* pause.c: all of it, for a sandbox. */
int launch_pause(json_object *args, struct err *err);
/* init.c: tell the shim; and wait for its order, which has such a @member. *ret is the
 * caller's to json_object_put(). */
int launch_say(json_object *message, struct err *err);
int launch_order(json_object **ret, json_object *args, const char *member, enum json_type type,
		 struct err *err);
/* hook.c: run the hook of an @order; how it ended is told. Where the shim is gone meanwhile,
 * that is the end of both. */
int launch_hook(json_object *order, json_object *args, struct err *err);
/* become.c: what must be done while /proc is still the host's; and the last things. */
int launch_limits(json_object *process, struct err *err);
int launch_user(json_object *args, struct err *err);
/* kvm.c: does a guest run? 0, or why not. @host: with a processor like the host's, as
 * a monitor that could do without will ask for. Takes at most 2 s. */
int launch_kvm(bool host, struct err *err);

/* binds.c: the spec's bind mounts, to be picked up, each with its own protection; and put where
 * they belong below @rootfs, a descriptor of what stands in its place already. */
struct launch_binds {
	int *fds; /* detached mounts */
	size_t n;
};
int launch_binds_pick(struct launch_binds *b, json_object *args, struct err *err);
int launch_binds_place(const struct launch_binds *b, json_object *args, int rootfs,
		       struct err *err);
void launch_binds_clear(struct launch_binds *b);

/* disk.c: to be held, before the root is turned; to be put into the root, with the kernel of
 * @rootfs; to be nobody else's: -EBUSY it is still mounted somewhere. */
bool launch_has_disk(json_object *args);
int launch_disk_hold(json_object *args, struct err *err);
int launch_disk_place(json_object *args, int rootfs, struct err *err);
int launch_disk_claim(struct err *err);

/* Members, or a default; never NULL for text. */
const char *launch_text(json_object *o, const char *name);
bool launch_serves(json_object *args);
json_object *launch_member(json_object *o, const char *name, enum json_type type);

#endif
