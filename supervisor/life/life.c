/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/life/life.h"

#include <errno.h>
#include <string.h>

#define GO(state)          { .to = LIFE_##state }
#define RUN(state, plan)   { .to = LIFE_##state, .run = PLAN_##plan }
#define NO(errno_, words)  { .why = words, .code = errno_ }

/*
 * One line, one arrow. Complete: what is impossible has a line that says so, and
 * test_life.c proves that none is missing. Two lines for one pair do not compile.
 * The words of refusals are what containerd's clients match on.
 */
static const struct arrow arrows[LIFE_N][EV_N] = {
	[LIFE_NEW] = {
		[EV_CREATE]      = RUN(CREATING, CREATE),
		[EV_START]       = NO(ENOENT, "container not created"),
		[EV_KILL]        = NO(ENOENT, "container not created"),
		[EV_DELETE]      = NO(ENOENT, "container not created"),
		[EV_PAUSE]       = NO(ENOENT, "container not created"),
		[EV_RESUME]      = NO(ENOENT, "container not created"),
		[EV_UPDATE]      = NO(ENOENT, "container not created"),
		[EV_CHECKPOINT]  = NO(ENOENT, "container not created"),
		[EV_EXEC]        = NO(ENOENT, "container not created"),
		[EV_EXEC_DELETE] = NO(ENOENT, "container not created"),
		[EV_FINISH]      = RUN(FINISHING, FINISH),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = NO(EPROTO, "there is no init that could exit"),
		[EV_DONE]        = GO(NEW), /* of the serve plan */
		[EV_FAIL]        = RUN(FINISHING, FINISH),
	},
	[LIFE_CREATING] = {
		[EV_CREATE]      = NO(EEXIST, "the task is being created"),
		[EV_START]       = NO(ENOENT, "container not created"),
		[EV_KILL]        = NO(ENOENT, "container not created"),
		[EV_DELETE]      = NO(ENOENT, "container not created"),
		[EV_PAUSE]       = NO(ENOENT, "container not created"),
		[EV_RESUME]      = NO(ENOENT, "container not created"),
		[EV_UPDATE]      = NO(ENOENT, "container not created"),
		[EV_CHECKPOINT]  = NO(ENOENT, "container not created"),
		[EV_EXEC]        = NO(ENOENT, "container not created"),
		[EV_EXEC_DELETE] = NO(ENOENT, "container not created"),
		[EV_FINISH]      = NO(EBUSY, "the task is being created"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = NO(EPROTO, "an exit is kept until the create plan is done"),
		[EV_DONE]        = GO(CREATED),
		[EV_FAIL]        = RUN(UNDOING, UNDO),
	},
	[LIFE_UNDOING] = {
		[EV_CREATE]      = NO(EEXIST, "a failed create of the task is being taken back"),
		[EV_START]       = NO(ENOENT, "container not created"),
		[EV_KILL]        = NO(ENOENT, "container not created"),
		[EV_DELETE]      = NO(ENOENT, "container not created"),
		[EV_PAUSE]       = NO(ENOENT, "container not created"),
		[EV_RESUME]      = NO(ENOENT, "container not created"),
		[EV_UPDATE]      = NO(ENOENT, "container not created"),
		[EV_CHECKPOINT]  = NO(ENOENT, "container not created"),
		[EV_EXEC]        = NO(ENOENT, "container not created"),
		[EV_EXEC_DELETE] = NO(ENOENT, "container not created"),
		[EV_FINISH]      = NO(EBUSY, "a failed create of the task is being taken back"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = GO(UNDOING),
		[EV_DONE]        = GO(NEW),
		[EV_FAIL]        = GO(STUCK),
	},
	[LIFE_CREATED] = {
		[EV_CREATE]      = NO(EEXIST, "the task exists"),
		[EV_START]       = RUN(STARTING, START),
		[EV_KILL]        = RUN(CREATED, KILL),
		[EV_DELETE]      = RUN(DELETING, UNDO),
		[EV_PAUSE]       = NO(EPROTO, "cannot pause task in created state"),
		[EV_RESUME]      = NO(EPROTO, "cannot resume task in created state"),
		[EV_UPDATE]      = RUN(CREATED, UPDATE),
		[EV_CHECKPOINT]  = NO(EPROTO, "cannot checkpoint a task in created state"),
		[EV_EXEC]        = RUN(CREATED, EXEC),
		[EV_EXEC_DELETE] = RUN(CREATED, EXEC_UNDO),
		[EV_FINISH]      = NO(EBUSY, "the task exists"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = GO(STOPPED),
		[EV_DONE]        = NO(EPROTO, "no plan is running"),
		[EV_FAIL]        = NO(EPROTO, "no plan is running"),
	},
	[LIFE_STARTING] = {
		[EV_CREATE]      = NO(EEXIST, "the task exists"),
		[EV_START]       = NO(EPROTO, "cannot start a running process"),
		[EV_KILL]        = RUN(STARTING, KILL),
		[EV_DELETE]      = NO(EPROTO, "cannot delete a running process"),
		[EV_PAUSE]       = NO(EPROTO, "cannot pause task in created state"),
		[EV_RESUME]      = NO(EPROTO, "cannot resume task in created state"),
		[EV_UPDATE]      = RUN(STARTING, UPDATE),
		[EV_CHECKPOINT]  = NO(EPROTO, "cannot checkpoint a task in created state"),
		[EV_EXEC]        = RUN(STARTING, EXEC),
		[EV_EXEC_DELETE] = RUN(STARTING, EXEC_UNDO),
		[EV_FINISH]      = NO(EBUSY, "the task exists"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = NO(EPROTO, "an exit is kept until the start plan is done"),
		[EV_DONE]        = GO(RUNNING),
		[EV_FAIL]        = GO(CREATED),
	},
	[LIFE_RUNNING] = {
		[EV_CREATE]      = NO(EEXIST, "the task exists"),
		[EV_START]       = NO(EPROTO, "cannot start a running process"),
		[EV_KILL]        = RUN(RUNNING, KILL),
		[EV_DELETE]      = NO(EPROTO, "cannot delete a running process"),
		[EV_PAUSE]       = RUN(PAUSING, PAUSE),
		[EV_RESUME]      = NO(EPROTO, "cannot resume a running process"),
		[EV_UPDATE]      = RUN(RUNNING, UPDATE),
		[EV_CHECKPOINT]  = RUN(RUNNING, CHECKPOINT),
		[EV_EXEC]        = RUN(RUNNING, EXEC),
		[EV_EXEC_DELETE] = RUN(RUNNING, EXEC_UNDO),
		[EV_FINISH]      = NO(EBUSY, "the task exists"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = GO(STOPPED),
		[EV_DONE]        = NO(EPROTO, "no plan is running"),
		[EV_FAIL]        = NO(EPROTO, "no plan is running"),
	},
	[LIFE_PAUSING] = {
		[EV_CREATE]      = NO(EEXIST, "the task exists"),
		[EV_START]       = NO(EPROTO, "cannot start a running process"),
		[EV_KILL]        = RUN(PAUSING, KILL),
		[EV_DELETE]      = NO(EPROTO, "cannot delete a running process"),
		[EV_PAUSE]       = NO(EPROTO, "cannot pause a paused container"),
		[EV_RESUME]      = NO(EPROTO, "cannot resume a running process"),
		[EV_UPDATE]      = RUN(PAUSING, UPDATE),
		[EV_CHECKPOINT]  = NO(EBUSY, "the task is being paused"),
		[EV_EXEC]        = NO(EPROTO, "cannot exec in a paused state"),
		[EV_EXEC_DELETE] = RUN(PAUSING, EXEC_UNDO),
		[EV_FINISH]      = NO(EBUSY, "the task exists"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = NO(EPROTO, "an exit is kept until the pause plan is done"),
		[EV_DONE]        = GO(PAUSED),
		[EV_FAIL]        = GO(RUNNING),
	},
	[LIFE_PAUSED] = {
		[EV_CREATE]      = NO(EEXIST, "the task exists"),
		[EV_START]       = NO(EPROTO, "cannot start a paused process"),
		[EV_KILL]        = RUN(PAUSED, KILL),
		[EV_DELETE]      = NO(EPROTO, "cannot delete a paused process"),
		[EV_PAUSE]       = NO(EPROTO, "cannot pause a paused container"),
		[EV_RESUME]      = RUN(RESUMING, RESUME),
		[EV_UPDATE]      = RUN(PAUSED, UPDATE),
		[EV_CHECKPOINT]  = RUN(PAUSED, CHECKPOINT),
		[EV_EXEC]        = NO(EPROTO, "cannot exec in a paused state"),
		[EV_EXEC_DELETE] = RUN(PAUSED, EXEC_UNDO),
		[EV_FINISH]      = NO(EBUSY, "the task exists"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = GO(STOPPED),
		[EV_DONE]        = NO(EPROTO, "no plan is running"),
		[EV_FAIL]        = NO(EPROTO, "no plan is running"),
	},
	[LIFE_RESUMING] = {
		[EV_CREATE]      = NO(EEXIST, "the task exists"),
		[EV_START]       = NO(EPROTO, "cannot start a paused process"),
		[EV_KILL]        = RUN(RESUMING, KILL),
		[EV_DELETE]      = NO(EPROTO, "cannot delete a paused process"),
		[EV_PAUSE]       = NO(EPROTO, "cannot pause a paused container"),
		[EV_RESUME]      = NO(EPROTO, "cannot resume a running process"),
		[EV_UPDATE]      = RUN(RESUMING, UPDATE),
		[EV_CHECKPOINT]  = NO(EBUSY, "the task is being resumed"),
		[EV_EXEC]        = NO(EPROTO, "cannot exec in a paused state"),
		[EV_EXEC_DELETE] = RUN(RESUMING, EXEC_UNDO),
		[EV_FINISH]      = NO(EBUSY, "the task exists"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = NO(EPROTO, "an exit is kept until the resume plan is done"),
		[EV_DONE]        = GO(RUNNING),
		[EV_FAIL]        = GO(PAUSED),
	},
	[LIFE_STOPPED] = {
		[EV_CREATE]      = NO(EEXIST, "the task exists"),
		[EV_START]       = NO(EPROTO, "cannot start a stopped process"),
		[EV_KILL]        = NO(ENOENT, "process already finished"),
		[EV_DELETE]      = RUN(DELETING, UNDO),
		[EV_PAUSE]       = NO(EPROTO, "cannot pause a stopped container"),
		[EV_RESUME]      = NO(EPROTO, "cannot resume a stopped container"),
		[EV_UPDATE]      = NO(EPROTO, "cannot update a stopped container"),
		[EV_CHECKPOINT]  = NO(EPROTO, "cannot checkpoint a stopped container"),
		[EV_EXEC]        = NO(EPROTO, "cannot exec in a stopped state"),
		[EV_EXEC_DELETE] = RUN(STOPPED, EXEC_UNDO),
		[EV_FINISH]      = NO(EBUSY, "the task exists"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = GO(STOPPED),
		[EV_DONE]        = NO(EPROTO, "no plan is running"),
		[EV_FAIL]        = NO(EPROTO, "no plan is running"),
	},
	[LIFE_DELETING] = {
		[EV_CREATE]      = NO(EEXIST, "the task is being deleted"),
		[EV_START]       = NO(EPROTO, "cannot start a deleted process"),
		[EV_KILL]        = NO(ENOENT, "cannot kill a deleted process"),
		[EV_DELETE]      = NO(EBUSY, "the task is being deleted"),
		[EV_PAUSE]       = NO(EPROTO, "cannot pause a deleted process"),
		[EV_RESUME]      = NO(EPROTO, "cannot resume a deleted process"),
		[EV_UPDATE]      = NO(EPROTO, "cannot update a deleted process"),
		[EV_CHECKPOINT]  = NO(EPROTO, "cannot checkpoint a deleted process"),
		[EV_EXEC]        = NO(EPROTO, "cannot exec in a deleted state"),
		[EV_EXEC_DELETE] = NO(EBUSY, "the task is being deleted"),
		[EV_FINISH]      = NO(EBUSY, "the task is being deleted"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = GO(DELETING),
		[EV_DONE]        = GO(DELETED),
		[EV_FAIL]        = GO(STUCK),
	},
	[LIFE_DELETED] = {
		[EV_CREATE]      = RUN(CREATING, CREATE),
		[EV_START]       = NO(ENOENT, "container not created"),
		[EV_KILL]        = NO(ENOENT, "container not created"),
		[EV_DELETE]      = NO(ENOENT, "container not created"),
		[EV_PAUSE]       = NO(ENOENT, "container not created"),
		[EV_RESUME]      = NO(ENOENT, "container not created"),
		[EV_UPDATE]      = NO(ENOENT, "container not created"),
		[EV_CHECKPOINT]  = NO(ENOENT, "container not created"),
		[EV_EXEC]        = NO(ENOENT, "container not created"),
		[EV_EXEC_DELETE] = NO(ENOENT, "container not created"),
		[EV_FINISH]      = RUN(FINISHING, FINISH),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = GO(DELETED),
		[EV_DONE]        = NO(EPROTO, "no plan is running"),
		[EV_FAIL]        = NO(EPROTO, "no plan is running"),
	},
	[LIFE_FINISHING] = {
		[EV_CREATE]      = NO(EBUSY, "the shim is going"),
		[EV_START]       = NO(ENOENT, "container not created"),
		[EV_KILL]        = NO(ENOENT, "container not created"),
		[EV_DELETE]      = NO(ENOENT, "container not created"),
		[EV_PAUSE]       = NO(ENOENT, "container not created"),
		[EV_RESUME]      = NO(ENOENT, "container not created"),
		[EV_UPDATE]      = NO(ENOENT, "container not created"),
		[EV_CHECKPOINT]  = NO(ENOENT, "container not created"),
		[EV_EXEC]        = NO(ENOENT, "container not created"),
		[EV_EXEC_DELETE] = NO(ENOENT, "container not created"),
		[EV_FINISH]      = NO(EBUSY, "the shim is going"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = GO(FINISHING),
		[EV_DONE]        = GO(GONE),
		[EV_FAIL]        = GO(STUCK),
	},
	[LIFE_TAKEDOWN] = {
		[EV_CREATE]      = NO(EBUSY, "the task is being taken back"),
		[EV_START]       = NO(EBUSY, "the task is being taken back"),
		[EV_KILL]        = NO(EBUSY, "the task is being taken back"),
		[EV_DELETE]      = NO(EBUSY, "the task is being taken back"),
		[EV_PAUSE]       = NO(EBUSY, "the task is being taken back"),
		[EV_RESUME]      = NO(EBUSY, "the task is being taken back"),
		[EV_UPDATE]      = NO(EBUSY, "the task is being taken back"),
		[EV_CHECKPOINT]  = NO(EBUSY, "the task is being taken back"),
		[EV_EXEC]        = NO(EBUSY, "the task is being taken back"),
		[EV_EXEC_DELETE] = NO(EBUSY, "the task is being taken back"),
		[EV_FINISH]      = NO(EBUSY, "the task is being taken back"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = GO(TAKEDOWN),
		[EV_DONE]        = GO(GONE),
		[EV_FAIL]        = GO(STUCK),
	},
	[LIFE_STUCK] = {
		[EV_CREATE]      = NO(EEXIST, "an earlier task of this id could not be "
					      "taken back; see uruncctl show"),
		[EV_START]       = NO(EPROTO, "cannot start a deleted process"),
		[EV_KILL]        = NO(ENOENT, "cannot kill a deleted process"),
		[EV_DELETE]      = RUN(DELETING, UNDO),
		[EV_PAUSE]       = NO(EPROTO, "cannot pause a deleted process"),
		[EV_RESUME]      = NO(EPROTO, "cannot resume a deleted process"),
		[EV_UPDATE]      = NO(EPROTO, "cannot update a deleted process"),
		[EV_CHECKPOINT]  = NO(EPROTO, "cannot checkpoint a deleted process"),
		[EV_EXEC]        = NO(EPROTO, "cannot exec in a deleted state"),
		[EV_EXEC_DELETE] = NO(EBUSY, "something of the task could not be taken back"),
		[EV_FINISH]      = NO(EBUSY, "something of the task could not be taken back"),
		[EV_RECOVER]     = RUN(TAKEDOWN, TAKEDOWN),
		[EV_EXIT]        = GO(STUCK),
		[EV_DONE]        = NO(EPROTO, "no plan is running"),
		[EV_FAIL]        = NO(EPROTO, "no plan is running"),
	},
	[LIFE_GONE] = {
		[EV_CREATE]      = NO(ENOENT, "the task is gone"),
		[EV_START]       = NO(ENOENT, "container not created"),
		[EV_KILL]        = NO(ENOENT, "container not created"),
		[EV_DELETE]      = NO(ENOENT, "container not created"),
		[EV_PAUSE]       = NO(ENOENT, "container not created"),
		[EV_RESUME]      = NO(ENOENT, "container not created"),
		[EV_UPDATE]      = NO(ENOENT, "container not created"),
		[EV_CHECKPOINT]  = NO(ENOENT, "container not created"),
		[EV_EXEC]        = NO(ENOENT, "container not created"),
		[EV_EXEC_DELETE] = NO(ENOENT, "container not created"),
		[EV_FINISH]      = NO(ENOENT, "the task is gone"),
		[EV_RECOVER]     = NO(ENOENT, "the task is gone"),
		[EV_EXIT]        = NO(EPROTO, "the task is gone"),
		[EV_DONE]        = NO(EPROTO, "no plan is running"),
		[EV_FAIL]        = NO(EPROTO, "no plan is running"),
	},
};

static const struct arrow nowhere = NO(EINVAL, "no such state or event");

const struct arrow *life_arrow(enum life_state from, enum life_event ev)
{
	if (from <= LIFE_NONE_ || from >= LIFE_N || ev <= EV_NONE_ || ev >= EV_N)
		return &nowhere;
	return &arrows[from][ev];
}

struct word {
	const char *name;
	const char *text;
};

#define STATE_WORD_(n, name_, text_) [LIFE_##n] = { name_, text_ },
#define EVENT_WORD_(n, name_, text_) [EV_##n] = { name_, text_ },
#define PLAN_WORD_(n, name_, text_)  [PLAN_##n] = { name_, text_ },

static const struct word states[LIFE_N] = { LIFE_STATES(STATE_WORD_) };
static const struct word events[EV_N] = { LIFE_EVENTS(EVENT_WORD_) };
static const struct word plans[PLAN_N] = { LIFE_PLANS(PLAN_WORD_) };

static int word_index(const struct word *words, int n, const char *name)
{
	for (int i = 1; i < n; i++)
		if (strcmp(words[i].name, name) == 0)
			return i;
	return 0;
}

const char *life_state_name(enum life_state s)
{
	return s > LIFE_NONE_ && s < LIFE_N ? states[s].name : NULL;
}

const char *life_state_text(enum life_state s)
{
	return s > LIFE_NONE_ && s < LIFE_N ? states[s].text : NULL;
}

enum life_state life_state_of(const char *name)
{
	return (enum life_state)word_index(states, LIFE_N, name);
}

const char *life_event_name(enum life_event e)
{
	return e > EV_NONE_ && e < EV_N ? events[e].name : NULL;
}

const char *plan_name(enum plan p)
{
	return p > PLAN_NONE && p < PLAN_N ? plans[p].name : NULL;
}

const char *plan_text(enum plan p)
{
	return p > PLAN_NONE && p < PLAN_N ? plans[p].text : NULL;
}

bool plan_applies(enum plan plan)
{
	return plan != PLAN_NONE && plan != PLAN_UNDO && plan != PLAN_EXEC_UNDO &&
	       plan != PLAN_FINISH && plan != PLAN_TAKEDOWN;
}

bool plan_undoes(enum plan plan, enum plan of)
{
	bool serve = of == PLAN_SERVE;
	bool task = plan_applies(of) && !serve;

	return (plan == PLAN_UNDO && task) || (plan == PLAN_FINISH && serve) ||
	       (plan == PLAN_TAKEDOWN && (task || serve)) ||
	       (plan == PLAN_EXEC_UNDO && of == PLAN_EXEC);
}

bool plan_beside(enum plan p)
{
	return p == PLAN_KILL || p == PLAN_UPDATE || p == PLAN_CHECKPOINT || p == PLAN_EXEC ||
	       p == PLAN_EXEC_UNDO;
}

enum plan plan_of(const char *name)
{
	return (enum plan)word_index(plans, PLAN_N, name);
}
