/* Taking something away from a slot against trips on two other threads, which never stop: here the wake-up descriptor.
 * src/wakeup.cpp: set_wakeup_fd(); src/slot.cpp: quiesce(); src/record.hpp: visitors; src/trip.cpp: deliver(), wake().
 *
 * Proved: nothing is written to a descriptor once set_wakeup_fd() has returned it, so that it may be closed; with LTL
 * defined also that set_wakeup_fd() returns although trips keep coming.
 *
 * A trip counts itself in under the turn that it has seen, looks at the turn again, and goes on only if it is the same;
 * everything of the slot is looked at after that, and it counts itself out last. set_wakeup_fd() changes the word, then
 * the turn, which alternates, then waits for the old turn's counter alone. Routes and rings are taken away in the same way:
 * see unsubscribe.pml. Sequentially consistent: see trip.pml; counting in and looking again is a store-buffer pattern,
 * seq_cst on both sides.
 *
 * Broken variants: NO_WAIT, NO_SECOND_LOOK, COUNT_AFTER_LOOK, COUNT_OUT_EARLY, TURN_FIRST, WAIT_FIRST, WAIT_NEW_TURN,
 * ONE_COUNTER.
 */

#define FDS 3           /* 0: none */
#ifdef ONE_COUNTER
#define COUNTER(turn) 0
#else
#define COUNTER(turn) (turn)
#endif

byte wake;              /* slot::wake */
bit turn;               /* visitors::turn_ and inside_ */
byte inside[2];
bool open_fd[FDS];      /* it is the caller's wake-up descriptor, and no other file under the same number */
bool changing;

proctype trip_thread()
{
    bit mine, now;
    byte seen;
    do
    ::
#ifdef COUNT_AFTER_LOOK
        seen = wake;
#endif
        mine = turn;
        do
        ::  inside[COUNTER(mine)]++;
#ifdef NO_SECOND_LOOK
            now = mine;
#else
            now = turn;
#endif
            if
            :: now == mine -> break
            :: else
            fi;
            inside[COUNTER(mine)]--;
            mine = turn
        od;
#ifndef COUNT_AFTER_LOOK
        seen = wake;
#endif
#ifdef COUNT_OUT_EARLY
        inside[COUNTER(mine)]--;
#endif
        if
        :: seen != 0 -> assert(open_fd[seen]) /* the byte */
        :: else
        fi;
#ifndef COUNT_OUT_EARLY
        inside[COUNTER(mine)]--;
#endif
        atomic { seen = 0; mine = 0; now = 0 }
    od
}

inline wait_for(old)
{
#ifndef NO_WAIT
    inside[COUNTER(old)] == 0
#else
    skip
#endif
}

proctype main_thread()
{
    byte before, next;
    bit old;
    do
    ::  atomic {
            before = wake;
            if
            :: next = 0
            :: next = 1
            :: next = 2
            fi;
            open_fd[next] = next != 0;
            changing = true
        }
#ifdef WAIT_FIRST
        old = turn;
        turn = 1 - old;
        wait_for(old);
        wake = next;
#else
#ifdef TURN_FIRST
        old = turn;
        turn = 1 - old;
        wake = next;
#else
        wake = next;
        old = turn;
        turn = 1 - old;
#endif
#ifdef WAIT_NEW_TURN
        wait_for(turn);
#else
        wait_for(old);
#endif
#endif
        atomic {
            changing = false;
            if
            :: before != next -> open_fd[before] = false /* close() */
            :: else
            fi;
            before = 0;
            next = 0;
            old = 0
        }
    od
}

init {
    atomic {
        run main_thread();
        run trip_thread();
        run trip_thread()
    }
}

#ifdef LTL
ltl returns { [] (changing -> <> !changing) }
#endif
