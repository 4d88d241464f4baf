/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/store/sql.h"

/*
 * Every write ends with the owner's lease (J2): an UPDATE and DELETE of another
 * table in its WHERE, an INSERT by selecting from the task row that has it.
 */
#define OURS(n) " (SELECT lease FROM task)=?" #n

#define STEP_COLUMNS                                                                       \
	"seq,run,kind,state,want,have,epoch,error,lease,intent_ms,settled_ms,undone_ms"
#define RUN_COLUMNS "seq,plan,outcome,opened_ms,closed_ms,error"

const char *const sql_text[SQL_N] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",

	[SQL_CLAIM] = "UPDATE task SET lease=lease+1,daemon=?1,ns=?2,id=?3,"
		      "created_ms=iif(created_ms=0,?4,created_ms),"
		      "changed_ms=iif(created_ms=0,?4,changed_ms)"
		      " WHERE id IN('',?3) AND ns IN('',?2) RETURNING lease",
	[SQL_LEASE] = "SELECT lease FROM task",
	[SQL_HOLD] = "SELECT 1 FROM sqlite_schema", /* never written, so never moved */
	[SQL_TASK] = "SELECT daemon,ns,id,address,ttrpc_address,state,epoch,bundle,bundle_dev,"
		     "bundle_ino,grp,socket,shim_pid,shim_start,init_pid,init_start,runtime,"
		     "runtime_root,request,exit_how,exit_status,exit_at_ns,created_ms,"
		     "changed_ms,lease,error FROM task",
	[SQL_BUNDLE] = "UPDATE task SET bundle=?1,bundle_dev=?2,bundle_ino=?3,changed_ms=?4"
		       " WHERE lease=?5",
	[SQL_SHIM] = "UPDATE task SET shim_pid=?1,shim_start=?2,changed_ms=?3 WHERE lease=?4",
	[SQL_INIT] = "UPDATE task SET init_pid=?1,init_start=?2,changed_ms=?3 WHERE lease=?4",
	[SQL_EXIT] = "UPDATE task SET exit_how=?1,exit_status=?2,exit_at_ns=?3,changed_ms=?4"
		     " WHERE exit_how='' AND lease=?5",
	[SQL_MOVE] = "UPDATE task SET state=?1,changed_ms=?2 WHERE state=?3 AND lease=?4",
	/* One for all of them, since preparing it takes longer than it does. */
#define SET_(name, column) #column "=coalesce(:" #column "," #column "),"
	[SQL_SET_TEXT] = "UPDATE task SET " TASK_TEXT_FIELDS(SET_)
			 "changed_ms=:now WHERE lease=:lease",
#undef SET_

	[SQL_RUN_ADD] = "INSERT INTO run(plan,outcome,opened_ms,closed_ms,lease,error)"
			" SELECT ?1,'open',?2,0,lease,'' FROM task WHERE lease=?3",
	[SQL_RUN_CLOSE] = "UPDATE run SET outcome=?1,error=?2,closed_ms=?3"
			  " WHERE seq=?4 AND" OURS(5),
	[SQL_RUN_NEXT] = "SELECT " RUN_COLUMNS " FROM run WHERE seq>?1 ORDER BY seq LIMIT 1",
	[SQL_RUN_PREV] = "SELECT " RUN_COLUMNS
			 " FROM run WHERE seq<?1 ORDER BY seq DESC LIMIT 1",

	[SQL_STEP_ADD] = "INSERT INTO step(run,kind,state,lease,intent_ms,settled_ms,undone_ms,"
			 "epoch,error,want,have)"
			 " SELECT ?1,?2,'planned',0,0,0,0,'','',?3,'{}' FROM task WHERE lease=?4",
	[SQL_STEPS_DROP] = "DELETE FROM step WHERE run=?1 AND" OURS(2),
	[SQL_RUN_DROP] = "DELETE FROM run WHERE seq=?1 AND" OURS(2),
	[SQL_STEP_GET] = "SELECT " STEP_COLUMNS " FROM step WHERE seq=?1",
	[SQL_STEP_NEXT] = "SELECT " STEP_COLUMNS
			  " FROM step WHERE seq>?1 AND ?2 IN(0,run) ORDER BY seq LIMIT 1",
	[SQL_STEP_PREV] = "SELECT " STEP_COLUMNS
			  " FROM step WHERE seq<?1 AND ?2 IN(0,run) ORDER BY seq DESC LIMIT 1",
	[SQL_INTEND] = "UPDATE step SET state='intent',epoch=?1,intent_ms=?2,lease=?4"
		       " WHERE seq=?3 AND state='planned' AND" OURS(4),
	[SQL_HAVE] = "UPDATE step SET have=?1 WHERE seq=?2 AND" OURS(3),
	/* What may come before, by the drawing in journal.h, is written out here. */
	[SQL_SETTLE] = "UPDATE step SET state=?1,error=coalesce(?2,error),"
		       "settled_ms=iif(?1 IN('done','failed','foreign','skipped'),?3,settled_ms),"
		       "undone_ms=iif(?1 IN('undoing','undone','stuck'),?3,undone_ms)"
		       " WHERE seq=?4 AND CASE ?1"
		       " WHEN 'done' THEN state='intent'"
		       " WHEN 'failed' THEN state='intent'"
		       " WHEN 'foreign' THEN state='intent'"
		       " WHEN 'skipped' THEN state='planned'"
		       " WHEN 'undoing' THEN state IN('done','failed','stuck')"
		       " WHEN 'undone' THEN state='undoing'"
		       " WHEN 'stuck' THEN state='undoing'"
		       " ELSE 0 END AND" OURS(5),

	[SQL_CHILD_ADD] = "INSERT INTO child(step,pid,start,ended,status,what,epoch,since_ms,"
			  "deadline_ms)"
			  " SELECT ?1,?2,?3,0,0,?4,?5,?6,?7 FROM task WHERE lease=?8",
	[SQL_CHILD_TRIM] = "DELETE FROM child WHERE seq<?1 AND ended=1 AND" OURS(2),
	[SQL_CHILD_ENDED] = "UPDATE child SET ended=1,status=?1 WHERE seq=?2 AND" OURS(3),
	[SQL_CHILD_NEXT] = "SELECT seq,step,pid,start,what,epoch,ended,status,since_ms,"
			   "deadline_ms FROM child WHERE seq>?1 AND ended<=?2"
			   " ORDER BY seq LIMIT 1",

	[SQL_TELL] = "INSERT INTO outbox(at_ns,topic,type,data)"
		     " SELECT ?1,?2,?3,?4 FROM task WHERE lease=?5",
	[SQL_UNTOLD] = "SELECT seq,topic,type,data,at_ns FROM outbox ORDER BY seq LIMIT 1",
	[SQL_TOLD] = "DELETE FROM outbox WHERE seq=?1 AND" OURS(2),
	[SQL_CLOSE_OUTBOX] = "DELETE FROM outbox WHERE" OURS(1),

	[SQL_NOTE_ADD] = "INSERT INTO note(at_ms,lease,what,text)"
			 " SELECT ?1,lease,?2,?3 FROM task WHERE lease=?4",
	[SQL_NOTE_NEXT] = "SELECT seq,at_ms,lease,what,text FROM note"
			  " WHERE seq>?1 ORDER BY seq LIMIT 1",
};
