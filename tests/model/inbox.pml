/* The lazy wake of an inbox: a slot whose owner sleeps in poll() on a wake descriptor, which is a boolean (eventfd) and
 * is written only when the owner sleeps. src/mailbox.cpp: wake_up(), go_to_sleep(), run_pending(), wait(), poke();
 * src/trip.cpp: wake().
 *
 * The owner waits in wait(), or, with POLLED, in an event loop that has asked for the descriptor: then it says that it
 * sleeps at the end of each run_pending() already. The writer may be late: between the exchange that tells it to write and
 * its write the owner may have gone on, and have gone to sleep again.
 *
 * Proved: the owner never sleeps while a signal is pending and the descriptor is not readable (an invalid end state);
 * each arrival is counted once; with LTL that in the end all is handled and the owner sleeps, so nothing that stays
 * readable keeps it spinning.
 *
 * The owner's rule: awake first, then drain the descriptor if it has been written, or is readable though nobody should have
 * written, then take the bits; to sleep: say so, then look at the bits once more, and write the descriptor itself if there
 * are some. Sequentially consistent: see trip.pml; saying asleep and looking at the bits is a store-buffer pattern against
 * publishing and looking at asleep, seq_cst on both sides.
 *
 * Broken variants: WAKE_FIRST, DRAIN_ASLEEP, CHECK_THEN_SLEEP, LATE_WRITE_STAYS.
 */

#ifndef TRIPS
#define TRIPS 1 /* arrivals on one thread; one each on two others */
#endif
#ifdef POLLED
#define polled true
#else
#define polled false
#endif

byte pending;   /* a bit per signal */
byte count[2];  /* arrivals in the record; its protocol is trip.pml's */
byte arrived[2], handled[2];
bool asleep;
bool readable;  /* the wake descriptor */
bool poked;
byte running = 4;
bool finished;

inline wake()
{
    if
    :: asleep ->
        atomic { first = asleep; asleep = false } /* exchange: a flood writes once */
        if
        :: atomic { first -> readable = true; first = false }
        :: else
        fi
    :: else
    fi
}

inline publish()
{
    pending = pending | (1 << sig)
}

proctype trip_thread(byte trips)
{
    byte sig;
    bool first;
    do
    :: atomic {
            trips > 0 ->
            trips--;
            if
            :: sig = 0
            :: sig = 1
            fi;
            arrived[sig]++;
            count[sig]++
        }
#ifdef WAKE_FIRST
        wake();
        publish()
#else
        publish();
        wake()
#endif
    :: atomic { trips == 0 -> running--; break }
    od
}

proctype poking_thread()
{
    poked = true;
    readable = true;
    running--
}

inline wake_up(is_readable)
{
    atomic { first = asleep; asleep = false } /* true: nobody has written */
    if
#ifdef LATE_WRITE_STAYS
    :: armed && !first -> readable = false
#else
    :: is_readable || (armed && !first) -> readable = false
#endif
    :: else
    fi;
    atomic { armed = false; first = false }
}

inline go_to_sleep()
{
#ifdef CHECK_THEN_SLEEP
    any = pending != 0;
#endif
    armed = true;
    asleep = true;
#ifndef CHECK_THEN_SLEEP
    any = pending != 0;
#endif
    if
    :: any ->
        atomic { first = asleep; asleep = false; any = false }
        if
        :: atomic { first -> readable = true; first = false }
        :: else
        fi
    :: else
    fi;
#ifdef DRAIN_ASLEEP
    readable = false
#else
    skip
#endif
}

/* run_pending(), but for going to sleep at its end. */
inline run_pending()
{
    wake_up(false);
    any = pending != 0;
    if
#ifndef LATE_WRITE_STAYS
    :: !any && polled -> readable = false
#endif
    :: else
    fi;
    sig = 0;
    do
    :: atomic { sig < 2 && (pending & (1 << sig)) -> pending = pending & ~(1 << sig) }
        atomic {
            handled[sig] = handled[sig] + count[sig];
            count[sig] = 0;
            sig++
        }
    :: atomic { sig < 2 && !(pending & (1 << sig)) -> sig++ }
    :: atomic { sig == 2 -> sig = 0; any = false; break }
    od;
    skip
}

proctype owner()
{
    byte sig;
    bool any, first, armed;
#ifdef POLLED
    wake_up(false); /* native_handle() */
    go_to_sleep();
    do
    :: readable -> /* poll() */
        run_pending();
        go_to_sleep()
    :: atomic { running == 0 && pending == 0 && !readable -> break }
    od;
#else
    do
    :: pending != 0 -> run_pending()
    :: pending == 0 ->
        if
        :: atomic { poked -> poked = false } /* wait() has returned */
        :: else ->
            go_to_sleep();
            if
            :: readable -> wake_up(true) /* poll() */
            :: atomic { running == 0 && pending == 0 && !readable && !poked -> break }
            fi
        fi
    od;
#endif
    assert(handled[0] == arrived[0] && handled[1] == arrived[1]);
    finished = true
}

init {
    atomic {
        run owner();
        run poking_thread();
        run trip_thread(TRIPS);
        run trip_thread(1);
        run trip_thread(1)
    }
}

#ifdef LTL
ltl rests { <> finished }
#endif
