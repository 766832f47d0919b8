/* The ring of a queueing subscription: trip routines on three threads push, the owner pops. src/record.hpp: ring;
 * src/mailbox.cpp: collect().
 *
 * Proved: each arrival is taken once, whole, or dropped and counted; those of one thread come in their order; taking as
 * many as the ring holds for each pending bit leaves none behind. The cells' turns need two cells at least: with one,
 * "complete" and "taken" are the same number.
 *
 * Sequentially consistent: see trip.pml. The turn is stored with release and loaded with acquire on both sides, which
 * hands the cell's info over; tail_ only deals out numbers.
 *
 * Broken variants: ONE_CELL, COMPLETE_FIRST, TAKEN_FIRST, CLAIM_BY_STORE, DROP_WITHOUT_COUNT, POP_ONE.
 */

#ifdef ONE_CELL
#define CAPACITY 1
#else
#define CAPACITY 2
#endif
#define PRODUCERS 3
#define CELL(n) ((n) % CAPACITY)

byte turn[CAPACITY];    /* cell::turn */
byte first[CAPACITY];   /* cell::info, in two halves, so that a torn copy shows: which thread's, and its how many-eth */
byte second[CAPACITY];
byte tail, dropped;
bool pending;           /* the signal's bit */
byte sent, taken;
byte last[PRODUCERS];   /* of each thread, taken last */
byte running = PRODUCERS;

proctype producer(byte id; byte pushes)
{
    byte at, seen, number;
    do
    :: atomic { number < pushes -> number++; sent++ }
        at = tail;
        do
        ::  seen = turn[CELL(at)];
            if
            :: seen < at ->
#ifndef DROP_WITHOUT_COUNT
                dropped++;
#endif
                break
            :: seen > at -> at = tail
            :: seen == at ->
#ifdef CLAIM_BY_STORE
                if
                :: tail == at -> tail = at + 1
                :: else -> at = tail; goto again
                fi;
#else
                atomic { /* compare-exchange */
                    if
                    :: tail == at -> tail = at + 1
                    :: else -> at = tail; goto again
                    fi
                }
#endif
#ifdef COMPLETE_FIRST
                turn[CELL(at)] = at + 1;
#endif
                first[CELL(at)] = id * 16 + number;
                second[CELL(at)] = id * 16 + number;
#ifndef COMPLETE_FIRST
                turn[CELL(at)] = at + 1;
#endif
                break;
again:          skip
            fi
        od;
        pending = true;
        atomic { at = 0; seen = 0 }
    :: atomic { number == pushes -> running--; break }
    od
}

proctype owner()
{
    byte head, half, n;
    do
    :: atomic { pending -> pending = false; n = 0 }
        do
        :: n < CAPACITY && turn[CELL(head)] == head + 1 ->
#ifdef TAKEN_FIRST
            turn[CELL(head)] = head + CAPACITY;
#endif
            half = first[CELL(head)];
            assert(half == second[CELL(head)]);
            atomic {
                assert(half % 16 == last[half / 16] + 1 || (half % 16 > last[half / 16] && dropped != 0));
                last[half / 16] = half % 16
            }
#ifndef TAKEN_FIRST
            turn[CELL(head)] = head + CAPACITY;
#endif
            atomic { head++; taken++; half = 0; n++ }
#ifdef POP_ONE
            break
#endif
        :: else -> break
        od
    :: atomic { running == 0 && !pending -> break }
    od;
    assert(taken + dropped == sent)
}

init {
    atomic {
        byte i;
        for (i : 0 .. CAPACITY - 1) {
            turn[i] = i
        }
        i = 0;
        run owner();
        run producer(0, 2);
        run producer(1, 2);
        run producer(2, 1)
    }
}
