/* Changing the wake-up descriptor against trips on two other threads, which never stop. src/wakeup.cpp: set_wakeup_fd();
 * src/trip.cpp: wake().
 *
 * Proved: nothing is written to a descriptor once set_wakeup_fd() has returned it, so that it may be closed; with LTL
 * defined also that set_wakeup_fd() returns although trips keep coming.
 *
 * The word names the descriptor and a turn, which alternates. A trip counts itself in under the turn that it has seen,
 * then looks at the word again; set_wakeup_fd() changes the word, then waits for the old turn's counter alone.
 * Sequentially consistent: see trip.pml; counting in and looking again is a store-buffer pattern, seq_cst on both sides.
 *
 * Broken variants: NO_WAIT, NO_SECOND_LOOK, COUNT_AFTER_LOOK, COUNT_OUT_EARLY, WAIT_FIRST, WAIT_NEW_TURN, ONE_COUNTER.
 */

#define FDS 3           /* 0: none */
#define FD(word)   ((word) % FDS)
#define TURN(word) ((word) / FDS)
#ifdef ONE_COUNTER
#define COUNTER(word) 0
#else
#define COUNTER(word) TURN(word)
#endif

byte wake;              /* slot::wake */
byte wakers[2];
bool open_fd[FDS];      /* it is the caller's wake-up descriptor, and no other file under the same number */
bool changing;

proctype trip_thread()
{
    byte seen, now;
    do
    ::  seen = wake;
        do
        :: FD(seen) != 0 ->
#ifdef COUNT_AFTER_LOOK
            now = wake;
            wakers[COUNTER(seen)]++;
#else
            wakers[COUNTER(seen)]++;
#ifdef NO_SECOND_LOOK
            now = seen;
#else
            now = wake;
#endif
#endif
#ifdef COUNT_OUT_EARLY
            wakers[COUNTER(seen)]--;
#endif
            if
            :: now == seen -> assert(open_fd[FD(seen)]) /* the byte */
            :: else
            fi;
#ifndef COUNT_OUT_EARLY
            wakers[COUNTER(seen)]--;
#endif
            if
            :: now == seen -> break
            :: else -> seen = now
            fi
        :: else -> break
        od;
        atomic { seen = 0; now = 0 }
    od
}

inline wait_for(word)
{
#ifndef NO_WAIT
    wakers[COUNTER(word)] == 0
#else
    skip
#endif
}

proctype main_thread()
{
    byte before, next;
    do
    ::  atomic {
            before = wake;
            if
            :: next = 0
            :: next = 1
            :: next = 2
            fi;
            open_fd[next] = next != 0;
            next = next + FDS * (1 - TURN(before));
            changing = true
        }
#ifdef WAIT_FIRST
        wait_for(before);
#endif
        wake = next;
#if defined(WAIT_NEW_TURN)
        wait_for(next);
#elif !defined(WAIT_FIRST)
        wait_for(before);
#endif
        atomic {
            changing = false;
            if
            :: FD(before) != FD(next) -> open_fd[FD(before)] = false /* close() */
            :: else
            fi;
            before = 0;
            next = 0
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
