/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life.pml - one task: its journal, a shim, two recoveries, the runtime's child, and a
 * death of any party after any step.
 *
 * table.pml is printed from supervisor/life/life.c (uruncctl states --promela): which
 * state comes next, which plan runs, what that undoes. Here is what a run does with it
 * (supervisor/engine), in the order of its commits.
 *
 * What the node holds: 0 made by the serve plan (socket), 1 by create (mounts), 2 by the
 * runtime's child in create (init). A row each. The lock is the owner's, released by
 * death; the lease is raised by who takes it.
 */
#include "table.pml"

#define SHIM 1
#define NOBODY 0
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef ASKED
#define ASKED 2 /* what containerd asks for after create, at most */
#endif

mtype = { row_none, row_planned, row_intent, row_done, row_failed, row_undone };

/* the journal */
bool live = true;
mtype state = state_new;
mtype row[3] = row_none;
byte lease = 1;
bool child_row; /* the child is written down */

/* the node */
bool held[3];
bool child, gate; /* a child stands at its gate, or was let go */
byte lock = SHIM;
bool shim_alive = true;
byte deaths, refusals;

#define DIES     if :: deaths < DEATHS -> deaths++; goto dead :: skip fi
/* A commit: one owner, whose lease it is; a former one learns that it is fenced. */
#ifdef NO_LEASE
#define COMMIT(what) atomic { what }
#else
#define COMMIT(what) atomic { if :: lease == mine -> what :: else -> goto dead fi }
#endif
/* Whoever acts owns the task, and nobody else does. */
#define ACT(what)    atomic { assert(lock == me && live); what }

#define NOTHING (!held[0] && !held[1] && !held[2] && !child)
#define IS_COMMITTED (state == state_created || state == state_starting || state == state_running \
	|| state == state_pausing || state == state_paused || state == state_resuming \
	|| state == state_stopped)

/* ---- what a run does ---- */

inline make(i)
{
	COMMIT(row[i] = row_intent);
	DIES;
	if
	:: ACT(held[i] = true); DIES; COMMIT(row[i] = row_done)
	:: ACT(held[i] = true); ok = false /* half made: it failed */
	:: ok = false
	fi;
	DIES
}

/* The child waits until it is written down; then it makes what it makes, some time. */
inline spawn(i)
{
	COMMIT(row[i] = row_intent);
	DIES;
	ACT(child = true; gate = false);
	DIES;
#ifdef GATE_FIRST
	gate = true;
	DIES;
#endif
	COMMIT(child_row = true);
	DIES;
	gate = true;
	DIES;
	if
	:: !child -> if :: held[i] -> COMMIT(row[i] = row_done) :: else -> ok = false fi
	:: ok = false /* its time is over, it goes on */
	fi;
	DIES
}

inline undo(i)
{
	if
	:: row[i] == row_none || row[i] == row_undone
	:: row[i] == row_planned -> COMMIT(row[i] = row_undone)
	:: else ->
		if
		:: ACT(held[i] = false); DIES; COMMIT(row[i] = row_undone)
		:: atomic { refusals < 1 -> refusals++ }; ok = false /* the host says no */
		fi
	fi;
	DIES
}

/* Nothing is undone while a child that is known may go on making. */
inline fence_off()
{
	if
	:: fence && child_row -> ACT(child = false; gate = false); DIES; COMMIT(child_row = false)
	:: else
	fi
}

inline carry_out()
{
	ok = true;
	plan_scope(plan, undoes, serve, task, fence);
	if
	:: undoes ->
		fence_off();
		if :: task -> undo(2); undo(1) :: else fi;
		if :: serve -> undo(0) :: else fi
	:: plan == plan_create ->
		make(1);
		if :: ok -> spawn(2) :: else fi
	:: plan == plan_start || plan == plan_pause || plan == plan_resume ->
		if :: skip :: ok = false fi
	:: else
	fi
}

/* An event, and all that comes of it. The move and the planned rows are one commit, and
 * so are a failure and the plan that undoes it. */
inline happens()
{
	do
	::	COMMIT(life_move(state, ev, plan);
		       if :: plan == plan_create -> row[1] = row_planned; row[2] = row_planned
			  :: else fi;
		       assert(!IS_COMMITTED || (held[1] && held[2])));
		DIES;
		if :: plan == plan_none || plan == plan_refused -> break :: else fi;
		carry_out();
		if :: ok -> ev = ev_done :: else -> ev = ev_fail fi
	od
}

inline close_file()
{
	DIES;
	atomic {
		if
		:: live && lease == mine && state == state_gone ->
			/* Finished: nothing is left, nor comes later. */
			assert(!held[0] && !held[1] && !held[2] && !(child && gate));
			live = false
		:: else
		fi
	}
}

/* ---- the parties ---- */

active proctype shim()
{
	byte me = SHIM, mine = 1, asked;
	mtype ev, plan;
	bool ok = true, undoes, serve, task, fence;

	make(0);
end:	do
	:: state != state_gone && state != state_stuck &&
	   (asked <= ASKED || state == state_new || state == state_deleted) ->
		atomic {
			if
			:: asked == 0 && ok -> ev = ev_create
			:: asked == 0 && !ok -> ev = ev_fail; asked = ASKED
			:: asked > 0 && asked <= ASKED -> ev = ev_start
			:: asked > 0 && asked <= ASKED -> ev = ev_create
			:: asked > 0 && asked <= ASKED -> ev = ev_pause
			:: asked > 0 && asked <= ASKED -> ev = ev_delete
			:: asked > 0 && asked <= ASKED -> ev = ev_exit
			:: asked > ASKED && (state == state_new || state == state_deleted) -> ev = ev_finish
			fi;
			asked = (asked > ASKED -> asked : asked + 1)
		}
		happens()
	:: state == state_gone -> close_file(); break
	:: state == state_stuck -> break /* containerd's delete kills it */
	od;
dead:
	atomic {
		shim_alive = false;
		if :: !gate -> child = false :: else fi; /* it reads end of file */
		if :: lock == me -> lock = NOBODY :: else fi
	}
}

active [2] proctype recovery()
{
	byte me = _pid + 10, mine;
	mtype ev, plan;
	bool ok, undoes, serve, task, fence;

end_wait:
	do
	:: !live -> goto done
#ifdef NO_LOCK
	:: atomic { live && !shim_alive -> lock = me; lease++; mine = lease }; break
#else
	:: atomic { live && lock == NOBODY -> lock = me; lease++; mine = lease }; break
#endif
	od;
	if
	:: state != state_gone -> ev = ev_recover; happens()
	:: else
	fi;
	if :: state == state_gone -> close_file() :: else fi;
dead:
	atomic {
		if :: lock == me -> lock = NOBODY :: else fi
	}
	goto end_wait;
done:
	skip
}

active proctype runtime()
{
end:	do
	:: atomic { child && gate -> assert(live); held[2] = true; child = false; gate = false }
	:: atomic { child && gate -> child = false; gate = false } /* it fails */
	od
}

/* Always, eventually: committed and served, or nothing left. */
ltl settles { [] <> ((IS_COMMITTED && shim_alive) || (!live && NOTHING)) }
