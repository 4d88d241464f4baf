/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_METRICS_OOM_H
#define URUNC_METRICS_OOM_H

/*
 * oom.h - was something in this container killed because memory ran out?
 *
 *	oom_open() once its init has a cgroup;
 *	oom_read() whenever oom_fd() is readable, and once more when init has ended,
 *	before that is told: the kernel counts a kill before it kills, so that none is
 *	missed;
 *	oom_close() after that.
 *
 * One kill or many between two reads are one. The count begins at 0: a kill before
 * oom_open() is reported too, and again by whoever opens it after us.
 *
 * Version 2 counts kills in memory.events, of the cgroups below as well, and wakes us
 * at each change. Version 1 wakes us before it kills, and those that share a limit with
 * the victim too; so there we look again for two seconds until a kill is counted, in
 * the cgroup or one below it.
 *
 * A cgroup may be removed before we come to look (systemd does it at once). Then it is
 * a kill if we were woken for one and, in version 2, the cgroup above counted one.
 *
 * Four descriptors a container; no inotify, of which a user has 128. Nothing here waits.
 */

#include "supervisor/metrics/folders.h"

struct oom;

/**
 * oom_open() - begin to watch
 * @ret:	the caller's to oom_close()
 *
 * Return: 0; -ENOENT: no such cgroup, or no memory controller in it: nothing to watch.
 */
int oom_open(struct oom **ret, const struct cgroup_folders *folders, struct err *err);

/* To poll for reading; valid until oom_close(). */
int oom_fd(const struct oom *oom);

/* 1 a kill since the last call; 0 none; -ENODEV none, and the cgroup is gone: there is
 * nothing more to come. */
int oom_read(struct oom *oom);

/* NULL is fine. Returns NULL. */
struct oom *oom_close(struct oom *oom);

#endif
