/* Subscribing and unsubscribing against trips on two other threads: the disposition, the route, the count of trips in
 * flight, the wake descriptor. DESIGN.md section 4, facts/peers.md 5.15, 5.16, 5.21; not in src/ yet.
 *
 *   subscribe:    route, then disposition
 *   unsubscribe:  disposition back, then route, then wait until no trip is in flight, then settle: what is pending goes
 *                 to the callback; then return, and the descriptor may be closed and its number used for something else
 *   trip:         count in, then look at the route; without one send the signal to oneself again, for the disposition
 *                 that holds now; count out last
 *
 * Proved: a signal is delivered or takes the other disposition, never both, never neither (G8); nothing touches the slot
 * or its descriptor after unsubscribe has returned; unsubscribe returns.
 *
 * Signals are finite here. With one counter a flood from many threads that never pauses can hold unsubscribe up for ever;
 * two counters, used in turn, bound that: see wakeup.pml. Sequentially consistent: see trip.pml; counting in and looking at the
 * route is a store-buffer pattern, seq_cst on both sides in the code.
 *
 * Broken variants: NO_QUIESCE, COUNT_AFTER_LOOK, COUNT_OUT_EARLY, DROP_WITHOUT_ROUTE, SETTLE_FIRST.
 */

#ifndef ROUNDS
#define ROUNDS 2 /* subscriptions, one after the other */
#endif

bool ours;          /* the disposition is tocsin_trip */
bool route;
byte in_flight;
bool open_fd;       /* the slot's wake descriptor is the subscriber's */
bool pending;
byte count;         /* the record */
byte sent, delivered, elsewhere;

/* One signal of the kernel's to this thread, or of resend_to_self(): it meets the disposition of this moment. */
proctype thread(byte signals)
{
    bool mine;
    do
    :: atomic { signals > 0 -> signals--; sent++ }
arrive:
        if
        :: atomic { !ours -> elsewhere++ }
        :: ours ->
#ifdef COUNT_AFTER_LOOK
            mine = route;
            in_flight++;
#else
            in_flight++;
            mine = route;
#endif
            if
            :: mine ->
                atomic { assert(open_fd); count++ }
                atomic { assert(open_fd); pending = true }
#ifdef COUNT_OUT_EARLY
                in_flight--;
#endif
                assert(open_fd); /* the byte for the wake descriptor */
                mine = false;
#ifndef COUNT_OUT_EARLY
                in_flight--
#else
                skip
#endif
            :: else ->
                in_flight--;
#ifdef DROP_WITHOUT_ROUTE
                skip
#else
                goto arrive
#endif
            fi
        fi
    :: signals == 0 -> break
    od
}

inline settle()
{
    if
    :: atomic { pending -> pending = false }
        atomic { delivered = delivered + count; count = 0 }
    :: else
    fi
}

proctype subscriber()
{
    byte rounds;
    do
    :: rounds < ROUNDS ->
        atomic { rounds++; open_fd = true }
        route = true;
        ours = true;
        do /* safe points */
        :: settle()
        :: break
        od;
        ours = false;
        route = false;
#ifdef SETTLE_FIRST
        settle();
#endif
#ifndef NO_QUIESCE
        in_flight == 0;
#endif
#ifndef SETTLE_FIRST
        settle();
#endif
        open_fd = false
    :: else -> break
    od
}

init {
    atomic {
        run subscriber();
        run thread(2);
        run thread(2)
    }
    _nr_pr == 1;
    assert(sent == delivered + elsewhere)
}
