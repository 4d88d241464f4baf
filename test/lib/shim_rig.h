/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_LIB_SHIM_RIG_H
#define URUNC_TEST_LIB_SHIM_RIG_H

/*
 * shim_rig.h - a shim driven by hand, many lives after one another, in a private node
 * (node.sh): this process is the daemon, and reaper of all that dies. One task, "v" of
 * the namespace t1, in the bundle $T/b. shim.sh is the same for scripts.
 *
 * What the node itself refuses ends the process: rig_stop().
 */

#include <stdint.h>

#define RIG_TEXT_MAX 4096

enum op { OP_START_SHIM, OP_CREATE, OP_START, OP_KILL, OP_WAIT, OP_DELETE, OP_SHUTDOWN, OP_END };
extern const char *const rig_ops[]; /* their names */

/* Which point of which role is deadly; at 0 they are counted only. See crash.h. */
struct axe {
	const char *role;
	long at;
};

struct shim_rig {
	const char *t;
	char shim[RIG_TEXT_MAX], ctl[RIG_TEXT_MAX], rootfs[RIG_TEXT_MAX], daemon[RIG_TEXT_MAX];
	char bundle[RIG_TEXT_MAX], tally[RIG_TEXT_MAX], socket[RIG_TEXT_MAX];
	char out[RIG_TEXT_MAX]; /* what the last program said */
	int log;                /* of the bundle, held open as containerd does */
};

__attribute__((format(printf, 1, 2), noreturn)) void rig_stop(const char *fmt, ...);
int64_t rig_now_ms(void);
void rig_pause_us(long us);
void rig_reap(void); /* all that is dead */

/* From T, BUILD and PEERS in the environment. An event sink is at $T/d.sock.ttrpc. */
void rig_begin(struct shim_rig *r);

void rig_bundle_make(struct shim_rig *r);
/* Its rootfs is unmounted first, if it has to be. */
void rig_bundle_remove(struct shim_rig *r);

/* Run it to its end in @dir, with @axe unless that is NULL: its exit status, or 256 and
 * its signal. */
int rig_run(const struct shim_rig *r, const struct axe *axe, const char *dir,
	    const char *const *argv);
/* The shim's own verbs, "start" and "delete". */
int rig_shim(const struct shim_rig *r, const struct axe *axe, const char *action);
/* A life: the call that failed, or OP_END. The server is gone then, or does not go. */
enum op rig_live(struct shim_rig *r, const struct axe *axe);
/* How many points the last axe saw passed; the name of the @at-th goes to @name. */
long rig_passed(const struct shim_rig *r, long at, char name[static 128]);

#endif
