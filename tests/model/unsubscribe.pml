/* Subscribing and unsubscribing against trips on two other threads: the disposition, the route, the trips inside the slot, the
 * wake descriptor. src/registry.cpp: route(), unroute(), let_go(); src/mailbox.cpp: cancel(); src/trip.cpp: deliver(),
 * give_back().
 *
 *   subscribe:    route, then the number of routes opened, then the disposition
 *   unsubscribe:  note that it was put back, disposition, route, change the turn and wait for the old one's trips, then
 *                 settle: what is pending goes to the callback; then return, and the descriptor may be closed and its
 *                 number used for something else
 *   trip:         count in (wakeup.pml), look at the route, count out last. Without a route: remember the number opened, look
 *                 at the route once more, at the note and the disposition; if a route has been opened meanwhile begin
 *                 again, else send the signal to oneself, for the disposition that holds now
 *
 * Proved: a signal is delivered or takes the other disposition, never both, never neither (G8), also when subscriptions end,
 * begin and end while one is inside; nothing touches the slot or its descriptor after unsubscribe has returned;
 * unsubscribe returns. With LTL that all comes to an end, also where other code
 *   PUT_BACK  has kept our handler and sets it again when nobody wants the signal: it is dropped, not sent again;
 *   COVER     puts its handler over ours and calls ours from there, while there is a route or not. A trip that was inside
 *             when it did and the subscription ended may drop its signal: it cannot know whether that handler has called it.
 *
 * Signals are finite here. Sequentially consistent: see trip.pml; counting in and looking at the route is a store-buffer
 * pattern, seq_cst on both sides in the code.
 *
 * Broken variants: NO_QUIESCE, COUNT_AFTER_LOOK, COUNT_OUT_EARLY, DROP_WITHOUT_ROUTE, SETTLE_FIRST, NOTE_CLEARED, NO_NUMBER,
 * NUMBER_FIRST, NUMBER_LAST, ALWAYS_SENT_AGAIN with PUT_BACK, NOTE_ALWAYS with COVER.
 */

#ifndef FEWER
#define FEWER 1 /* signals of the second thread */
#endif
#ifndef ROUNDS
#define ROUNDS 2 /* subscriptions, one after the other */
#endif

#define BASE 0
#define OURS 1
#define OVER 2      /* of other code: calls ours */

byte disposition;
bool route;
bool put_back;      /* given_back */
byte opened;        /* routes_opened */
bit turn;
byte inside[2];
bool open_fd;       /* the slot's wake descriptor is the subscriber's */
bool pending;
byte count;         /* the record */
byte sent, delivered, elsewhere;
byte dropped;       /* in ours, without a route */
byte running = 2;   /* threads */
bool ended, settled;

/* One signal of the kernel's to this thread, or of resend_to_self(): it meets the disposition of this moment. */
proctype thread(byte signals)
{
    bool mine, note;
    bit my_turn, now_turn;
    byte before, now;
    do
    :: atomic { signals > 0 -> signals--; sent++ }
arrive:
        if
        :: atomic { disposition == BASE -> elsewhere++ }
        :: disposition != BASE ->
enter:
#ifdef COUNT_AFTER_LOOK
            mine = route;
#endif
            my_turn = turn;
            inside[my_turn]++;
            now_turn = turn;
            if
            :: now_turn != my_turn -> inside[my_turn]--; goto enter
            :: else
            fi;
#ifndef COUNT_AFTER_LOOK
            mine = route;
#endif
            if
            :: mine ->
                atomic { assert(open_fd); count++ }
                atomic { assert(open_fd); pending = true }
#ifdef COUNT_OUT_EARLY
                inside[my_turn]--;
#endif
                assert(open_fd); /* the write to the wake descriptor */
#ifndef COUNT_OUT_EARLY
                inside[my_turn]--
#else
                skip
#endif
            :: else ->
                inside[my_turn]--;
#ifdef DROP_WITHOUT_ROUTE
                skip
#else
                before = opened;
                if
                :: route -> goto enter
                :: else
                fi;
                note = put_back;
                now = disposition;
#ifndef NO_NUMBER
                if
                :: opened != before -> goto enter
                :: else
                fi;
#endif
                if
#ifdef ALWAYS_SENT_AGAIN
                :: note -> goto arrive
#else
                :: note && now != OURS -> goto arrive
#endif
                :: else -> dropped++
                fi
#endif
            fi
        fi;
        atomic { mine = false; note = false; my_turn = 0; now_turn = 0; before = 0; now = 0 }
    :: atomic { signals == 0 -> running--; break }
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

inline quiesce()
{
    old = turn;
    turn = 1 - old;
    inside[old] == 0
}

proctype subscriber()
{
    byte rounds, base;
    bool over; /* other code's handler was found in the place of ours */
    bit old;
    do
    :: rounds < ROUNDS ->
        atomic {
            rounds++;
            open_fd = true;
            base = (disposition == OURS -> BASE : disposition)
        }
#ifdef NUMBER_FIRST
        opened++;
#endif
        route = true;
#ifdef NOTE_CLEARED
        put_back = false;
#endif
#if !defined(NUMBER_FIRST) && !defined(NUMBER_LAST)
        opened++;
#endif
        disposition = OURS;
#ifdef NUMBER_LAST
        opened++;
#endif
        if /* a safe point, or two */
        :: settle()
        :: skip
        fi;
        if
        :: settle()
        :: skip
        fi;
        if
        :: disposition == OURS ->
#ifdef NOTE_ALWAYS
            put_back = true;
#else
            put_back = base != OVER || !over;
#endif
            disposition = base
        :: else ->
            over = true;
#ifdef NOTE_ALWAYS
            put_back = true
#else
            put_back = false
#endif
        fi;
        route = false;
#ifdef SETTLE_FIRST
        settle();
#endif
#ifndef NO_QUIESCE
        quiesce();
#endif
#ifndef SETTLE_FIRST
        settle();
#endif
        open_fd = false
    :: else -> break
    od;
    ended = true
}

#if defined(PUT_BACK) || defined(COVER)
proctype other_code()
{
    if
#ifdef PUT_BACK
    :: atomic { ended -> disposition = OURS }
#else
    :: atomic { disposition == OURS -> disposition = OVER }
    :: ended
#endif
    fi
}
#endif

init {
    atomic {
        run subscriber();
#if defined(PUT_BACK) || defined(COVER)
        run other_code();
#endif
        run thread(2);
        run thread(FEWER)
    }
    ended && running == 0; /* and other code has done its work, or comes too late */
    assert(sent == delivered + elsewhere + dropped);
#if !defined(PUT_BACK) && !defined(COVER)
    assert(dropped == 0);
#endif
    settled = true
}

#ifdef LTL
ltl ends { <> settled }
#endif
