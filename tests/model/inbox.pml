/* The lazy wake of an inbox: a slot whose owner sleeps in poll() on a wake descriptor, which is a boolean (eventfd) and
 * is written only when the owner sleeps. DESIGN.md section 4; not in src/ yet.
 *
 * Proved: the owner never sleeps while a signal is pending and the descriptor is not readable (an invalid end state);
 * each arrival is counted once; with LTL what is pending is handled after finitely many steps, so a wake that stays
 * readable does not make the owner spin for ever.
 *
 * The owner's rule: awake first, then drain the descriptor, then take the bits; to sleep: say so, then take the bits once
 * more, and wait only if there were none. Sequentially consistent: see trip.pml.
 *
 * Broken variants: WAKE_FIRST, DRAIN_LAST, CHECK_THEN_SLEEP.
 */

#ifndef TRIPS
#define TRIPS 2 /* arrivals on one thread; one each on two others */
#endif

byte pending;   /* a bit per signal */
byte count[2];  /* arrivals in the record; its protocol is trip.pml's */
byte arrived[2], handled[2];
bool asleep;
bool readable;  /* the wake descriptor */
byte running = 3;

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

/* A pass over the bits: true in `any` if there were some. */
inline take_pending()
{
    sig = 0;
    do
    :: atomic { sig < 2 && (pending & (1 << sig)) -> pending = pending & ~(1 << sig) }
        atomic {
            handled[sig] = handled[sig] + count[sig];
            count[sig] = 0;
            any = true;
            sig++
        }
    :: atomic { sig < 2 && !(pending & (1 << sig)) -> sig++ }
    :: atomic { sig == 2 -> sig = 0; break }
    od
}

proctype owner()
{
    byte sig;
    bool any;
    do
    ::
        asleep = false;
#ifndef DRAIN_LAST
        readable = false; /* read(): empties it */
#endif
        take_pending();
#ifdef CHECK_THEN_SLEEP
        any = false;
        take_pending();
        asleep = true;
#else
        any = false;
        asleep = true;
        take_pending();
#endif
#ifdef DRAIN_LAST
        readable = false;
#endif
        if
        :: any -> any = false
        :: else ->
            if
            :: readable /* poll() */
            :: atomic { running == 0 && pending == 0 && !readable -> break }
            fi
        fi
    od;
    assert(handled[0] == arrived[0] && handled[1] == arrived[1])
}

init {
    atomic {
        run owner();
        run trip_thread(TRIPS);
        run trip_thread(1);
        run trip_thread(1)
    }
}

#ifdef LTL
ltl handled_at_last { [] (pending != 0 -> <> (pending == 0)) }
#endif
