/* One slot's records and pending bits: trip routines on two other threads and on the owner's own, the owner at safe
 * points. src/record.hpp: record; src/trip.cpp: deliver(); src/safe_point.cpp: run_pending().
 *
 * Proved: each arrival is counted in exactly one call of a handler, the handler sees a whole siginfo of its signal, and
 * none is lost when a handler throws.
 *
 * Spin interleaves whole statements on one memory (sequential consistency): what weaker orders allow is not covered
 * here; docs/internals.md argues for them. Each statement below is one atomic operation of the code.
 *
 * Broken variants: PUBLISH_FIRST, CLEAR_AFTER_PASS, TAKE_ALL_BITS, TAKE_THEN_CLEAR, TAKE_WHILE_WRITING, MERGE_BY_STORE.
 */

#define SIGNALS 2
#define WRITING 64
#define FULL    32
#define COUNT   31

byte pending;           /* a bit per signal */
byte word[SIGNALS];     /* record::word */
byte first[SIGNALS];    /* record::info, in two halves, so that a torn copy shows: who wrote each */
byte second[SIGNALS];
byte arrived[SIGNALS];
byte handled[SIGNALS];
byte running = 3;       /* threads that still have signals to come */
bool interrupted;       /* the owner's thread is in the trip routine */

inline write_record(sig, id)
{
    seen = word[sig];
    do
    :: seen != 0 ->
#ifdef MERGE_BY_STORE
        word[sig] = seen + 1;
        break
#else
        atomic { /* compare-exchange */
            if
            :: word[sig] == seen -> word[sig] = seen + 1; break
            :: else -> seen = word[sig]
            fi
        }
#endif
    :: seen == 0 ->
        atomic {
            if
            :: word[sig] == 0 -> word[sig] = WRITING | 1
            :: else -> seen = word[sig]; goto again
            fi
        }
        first[sig] = id;
        second[sig] = id;
        word[sig] = word[sig] ^ (WRITING | FULL);
        break;
again:  skip
    od
}

inline deliver(sig, id)
{
#ifdef PUBLISH_FIRST
    pending = pending | (1 << sig);
    write_record(sig, id)
#else
    write_record(sig, id);
    pending = pending | (1 << sig)
#endif
}

inline any_signal(sig)
{
    atomic {
        if
        :: sig = 0
        :: sig = 1
        fi;
        arrived[sig]++
    }
}

proctype other_thread(byte id; byte trips)
{
    byte seen, sig;
    do
    :: atomic { trips > 0 -> trips-- }
        any_signal(sig);
        deliver(sig, id)
    :: atomic { trips == 0 -> running--; break }
    od
}

/* The same routine where it interrupts the owner, between any two of its instructions. */
proctype own_thread(byte id)
{
    byte seen, sig;
    atomic { interrupted = true; any_signal(sig) }
    deliver(sig, id);
    atomic { interrupted = false; running-- }
}

/* take() and the handler. */
inline dispatch(sig)
{
#ifdef TAKE_WHILE_WRITING
    if
    :: word[sig] == 0 -> skip
    :: else ->
#else
    if
    :: (word[sig] & FULL) == 0 -> skip /* empty, or the thread that writes it will publish it */
    :: else ->
#endif
        half = first[sig];
        assert(half == second[sig] && half != 0);
        atomic { /* exchange */
            handled[sig] = handled[sig] + (word[sig] & COUNT);
            word[sig] = 0;
            assert(handled[sig] <= arrived[sig]);
            half = 0;
            ran = true
        }
    fi
}

/* Clears the bit and tells whether it was set. */
inline claim(sig)
{
    d_step { mine = (pending >> sig) & 1; pending = pending & ~(1 << sig) }
}

proctype owner() provided (!interrupted)
{
    byte seen, sig, half;
    bool mine, ran;
safe_point:
    do
    :: pending != 0 ->
        seen = pending;
#ifdef TAKE_ALL_BITS
        pending = 0;
#endif
        sig = 0;
        do
        :: sig < SIGNALS && ((seen >> sig) & 1) ->
#if defined(TAKE_ALL_BITS) || defined(CLEAR_AFTER_PASS)
            dispatch(sig);
#elif defined(TAKE_THEN_CLEAR)
            dispatch(sig);
            claim(sig);
#else
            claim(sig);
            if
            :: mine -> dispatch(sig)
            :: else
            fi;
#endif
            atomic {
                mine = false;
                if
                :: ran -> ran = false; goto safe_point /* the handler has thrown */
                :: ran = false
                fi;
                sig++
            }
        :: sig < SIGNALS && !((seen >> sig) & 1) -> sig++
        :: sig == SIGNALS -> break
        od;
#ifdef CLEAR_AFTER_PASS
        pending = pending & ~seen
#else
        skip
#endif
    :: running == 0 && pending == 0 -> break
    od;
    assert(handled[0] == arrived[0] && handled[1] == arrived[1])
}

init {
    atomic {
        run owner();
        run own_thread(1);
        run other_thread(2, 2);
        run other_thread(3, 1)
    }
}
