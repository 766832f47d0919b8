/* fork() against signals: one thread of the parent forks while another is in the trip routine; signals reach the child
 * at any instruction of the forking thread. src/process.cpp: after_fork_in_child(); src/mailbox.cpp: renew_all();
 * src/trip.cpp: in_owner_process(). in_flight stands for the counts of slot::visits: quiesce() in the child waits for them.
 *
 * Index 0 of each array is the parent's memory, 1 the child's copy. The page of the owner word reads 0 in the child from
 * its first instruction (MADV_WIPEONFORK).
 *
 * Proved: before renewal a signal in the child touches nothing and takes the default action; after it each is handled
 * once; nothing that arrived in the parent is handled in the child (G6), and the parent handles all of its own; the child
 * never writes to the parent's descriptor; a later set_wakeup_fd() in the child returns.
 *
 * vfork() and clone(CLONE_VM), where the memory is shared and only the process id differs, are outside. Sequentially
 * consistent: see trip.pml.
 *
 * Broken variants: NO_OWNER_CHECK, OWNER_FIRST, KEEP_SIGNALS, KEEP_RECORDS, KEEP_WAKE, KEEP_COUNTER.
 */

#define WRITING 64
#define FULL    32
#define COUNT   31

#define PARENT 0
#define CHILD  1

byte owner_word[2];
byte pending[2];        /* one bit per signal number: 1 and 2 */
byte word[6];           /* records: process * 3 + signal */
byte in_flight[2];
byte wake_fd[2];        /* 0: none, 1: the parent's, 2: the child's own */
byte arrived[2], handled[2];
byte by_default;        /* signals in the child that took the default action */
byte sent_to_child;
bool forked;
bool renewed;
bool child_interrupted;
byte parent_trips = 2, child_trips = 2; /* that have not ended */

inline any_signal()
{
    if
    :: sig = 1
    :: sig = 2
    fi
}

/* Signal `sig` on a thread of process p. */
inline trip(p)
{
#ifdef NO_OWNER_CHECK
    mine = true;
#else
    mine = owner_word[p] != 0;
#endif
    if
    :: atomic { !mine -> assert(p == CHILD && !renewed); by_default++ }
    :: else ->
        assert(p == PARENT || renewed);
        atomic { arrived[p]++; in_flight[p]++ }
        if
        :: atomic { word[p * 3 + sig] != 0 -> word[p * 3 + sig] = word[p * 3 + sig] + 1 }
        :: atomic { word[p * 3 + sig] == 0 -> word[p * 3 + sig] = WRITING | 1 }
            word[p * 3 + sig] = word[p * 3 + sig] ^ (WRITING | FULL)
        fi;
        pending[p] = pending[p] | sig;
        assert(wake_fd[p] == 0 || wake_fd[p] == p + 1);
        in_flight[p]--
    fi;
    mine = false
}

/* Before, during or after the fork. */
proctype parent_thread()
{
    byte sig;
    bool mine;
    any_signal();
    trip(PARENT);
    parent_trips--
}

proctype child_signal()
{
    byte sig;
    bool mine;
    atomic { forked && !child_interrupted -> child_interrupted = true; sent_to_child++; any_signal() }
    trip(CHILD);
    atomic { child_interrupted = false; child_trips-- }
}

/* Safe points of process p until all is handled. */
inline safe_points(p, trips)
{
    do
    :: atomic { pending[p] & 1 -> pending[p] = pending[p] & ~1; sig = 1 } take(p)
    :: atomic { pending[p] & 2 -> pending[p] = pending[p] & ~2; sig = 2 } take(p)
    :: atomic { trips == 0 && pending[p] == 0 -> break }
    od;
    assert(handled[p] == arrived[p])
}

inline take(p)
{
    if
    :: atomic { word[p * 3 + sig] & FULL -> handled[p] = handled[p] + (word[p * 3 + sig] & COUNT); word[p * 3 + sig] = 0 }
    :: else
    fi
}

proctype parent_owner()
{
    byte sig;
    safe_points(PARENT, parent_trips)
}

/* The thread of the child. */
proctype child_owner() provided (!child_interrupted)
{
    byte sig;
#ifdef OWNER_FIRST
    atomic { owner_word[CHILD] = 1; renewed = true }
#endif
#ifndef KEEP_SIGNALS
    pending[CHILD] = 0;
#endif
#ifndef KEEP_WAKE
    wake_fd[CHILD] = 0;
#endif
#if !defined(KEEP_RECORDS) && !defined(KEEP_SIGNALS)
    word[4] = 0;
    word[5] = 0;
#endif
#ifndef KEEP_COUNTER
    in_flight[CHILD] = 0;
#endif
#ifndef OWNER_FIRST
    atomic { owner_word[CHILD] = 1; renewed = true }
#endif
    wake_fd[CHILD] = 2; /* set_wakeup_fd(), or a renewed inbox */
    safe_points(CHILD, child_trips);
    assert(handled[CHILD] + by_default == sent_to_child);
    in_flight[CHILD] == 0 /* set_wakeup_fd() */
}

/* fork(): the child gets a copy of the memory at one moment, other threads in the middle of what they do. */
proctype forking_thread()
{
    atomic {
        pending[CHILD] = pending[PARENT];
        word[4] = word[1];
        word[5] = word[2];
        in_flight[CHILD] = in_flight[PARENT];
        wake_fd[CHILD] = wake_fd[PARENT];
        owner_word[CHILD] = 0;
        forked = true;
        run child_owner()
    }
}

init {
    atomic {
        owner_word[PARENT] = 1;
        wake_fd[PARENT] = 1;
        run parent_owner();
        run parent_thread();
        run parent_thread();
        run child_signal();
        run child_signal();
        run forking_thread()
    }
}
