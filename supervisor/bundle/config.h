/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BUNDLE_CONFIG_H
#define URUNC_BUNDLE_CONFIG_H

/*
 * config.h - the supervisor's own settings, from one TOML file.
 *
 * /etc/urunc/supervisor.toml; a missing file means the defaults. URUNC_CONFIG in the
 * environment names another file: for tests, and every verb says so. Unknown keys
 * are refused by name (a misspelt policy must not be silently off).
 */

#include "journal/base/err.h"

#include <stdbool.h>

#define CONFIG_FILE "/etc/urunc/supervisor.toml"

enum choice_policy { CHOICE_BEST_EFFORT, CHOICE_REQUIRED };
enum group_by { GROUP_BY_POD, GROUP_BY_CONTAINER }; /* what has a shim of its own */

/* Who launches a unikernel: we, unless the OCI runtime is one that does; always we;
 * always the OCI runtime. */
enum launch_policy { LAUNCH_AUTO, LAUNCH_NATIVE, LAUNCH_RUNTIME };

/* What a monitor that can emulate a processor runs its guests with. AUTO: KVM if it
 * works. */
enum accel_policy { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };

struct config {
	char *file;    /* where it was read from; "" : defaults, no file           */
	bool by_env;   /* the file was named by URUNC_CONFIG                        */
	char *journal; /* journal = "/var/lib/urunc/journal"                        */
	char *run;     /* run = "/run/urunc"                                        */
	char *runtime; /* runtime = "": the first found of urunc, runc, crun in PATH */
	enum choice_policy rootfs_choice; /* rootfs_choice = "best-effort"          */
	enum launch_policy unikernel;     /* unikernel = "auto"                     */
	enum accel_policy accel;          /* accel = "auto"                         */
	char **monitor_paths;             /* monitor_paths = []: NULL-terminated; more
	                                     folders of the host that monitors see   */
	enum group_by group;              /* group = "pod"                          */
	int history_days;                 /* history_days = 14                      */
	int history_count;                /* history_count = 1000                   */
	int runtime_timeout_s;            /* runtime_timeout_s = 120: one CLI call   */
	int idle_exit_s;                  /* idle_exit_s = 60: a shim without a task */
	int monitor_grace_s;              /* monitor_grace_s = 10: from SIGTERM to SIGKILL */
	bool power_button;                /* power_button = true: SIGTERM presses it    */
	bool vaccel;                      /* vaccel = false: guests may reach vAccel's
	                                     agent on the node                        */
	bool ask_containerd;              /* ask_containerd = false: for labels and manifest */
	bool debug;                       /* debug = false                          */
};

/* @file: a path, or NULL for the environment's or the default one. A file that was
 * named must be there: -ENOENT. -EINVAL with file, line and what is wrong. The caller
 * clears. */
int config_load(struct config *ret, const char *file, struct err *err);
/* Settings of a text, over those in @config. Pure. -EINVAL "line N: ...". */
int config_parse(struct config *config, const char *text, size_t len, struct err *err);
void config_clear(struct config *config);

#endif
