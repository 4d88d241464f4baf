/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_CTL_TASK_H
#define URUNC_CTL_TASK_H

/*
 * task.h - which tasks there are, how they are named, and how one stands now.
 */

#include "cmd/uruncctl/ctl.h"

#include <json-c/json.h>
#include <stddef.h>

#define TASK_NAME_MAX (JOURNAL_DAEMON + 2 * JOURNAL_ID_MAX + 3)

struct task_item {
	struct task_key key;
	char *file; /* of the history; NULL: live */
};
struct task_list {
	struct task_item *at;
	size_t n, room;
};

/* Add the tasks of one folder: live ones by namespace and id, the history newest
 * first. Errors: as journal_list(). */
int task_list_add(struct task_list *list, const struct ctl *ctl, enum journal_where where,
		  struct err *err);
void task_list_clear(struct task_list *list);
#define auto_tasks __attribute__((cleanup(task_list_clear)))

/* "ns/id"; with the daemon in front if @full. */
const char *task_name(char buf[TASK_NAME_MAX], const struct task_key *key, bool full);
/* The tasks in @list are of several daemons, so that names need all three parts. */
bool task_list_full(const struct task_list *list);

/**
 * task_find() - the one task that an operator's word names
 * @word:	ID, NS/ID or DAEMON/NS/ID
 *
 * Files of one key count as one; the first in the list is returned.
 * Return: 0 with *ret lent from the list; -ENOENT nothing has that name, with what
 * was perhaps meant; -EINVAL it names several, with their full names.
 */
int task_find(const struct task_list *list, const char *word, const struct task_item **ret,
	      struct err *err);

/* One task as journal and host show it. */
struct task_view {
	struct task_row row;
	bool live;
	pid_t owner;    /* who holds its lock; 0: nobody         */
	int shim_alive; /* 1, 0; -1 the host could not tell      */
	int init_alive;
};

/* Open one item to read. As journal_open(), journal_open_file(). */
int task_open(struct journal **ret, const struct ctl *ctl, const struct task_item *item,
	      struct err *err);
/* The caller clears. */
int task_view(struct task_view *ret, const struct ctl *ctl, const struct task_item *item,
	      struct journal *j, struct err *err);
void task_view_clear(struct task_view *view);

/* NULL if it is well; else why an operator should look. */
const char *task_view_ill(const struct task_view *view);

/* Members "daemon", "ns", "id". */
void task_key_json(json_object *to, const struct task_key *key);
/* Member "exit": {"how","status","at_ns"}, or null. */
void exit_json(json_object *to, enum exit_how how, uint32_t status, int64_t at_ns);
/* All members of a task, see uruncctl(8). */
json_object *task_view_json(const struct task_view *view);
const char *exit_how_name(enum exit_how how);

#endif
