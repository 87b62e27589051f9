/* The protocol of src/replay/table.c, step by step: every load of a word and every exchange is one
 * step, and spin tries all their interleavings (sequentially consistent: README.md in src/replay
 * says why the real ones are). `run` sets the numbers and the mutations from outside.
 *
 *   TWINS     inserts of one key, K, at the same time
 *   OTHERS    inserts of another key, J, of which all places are places too: each takes the place of
 *             something that has expired, and stays or goes
 *   PLACES    slots, all of them places of both keys
 *   TIME_MAX  how far the clock may go, at any moment
 *   EXPIRIES  1: all twins have the same; 2: they may differ by one second
 *   SLACK     what an entry outlives its expiry by
 *   TORN      the two words of a slot are loaded at two moments
 *
 * Checked: of the inserts of K at most one is told OK, whatever expires meanwhile; and if one is told
 * that K exists and none was too late, full or stopped, one was told OK. */
#define EMPTY     0
#define TENTATIVE 1
#define COMMITTED 2
#define BEATEN    3

#define K 1
#define J 2
#define OLD 3 /* what stands in the places at the beginning, until second 1 */

/* A slot's two words. Low: the expiry, the fingerprint, the state. High: the rest of the key. */
#define LOW(key, expiry, state) ((expiry) * 16 + (key) * 4 + (state))
#define EXPIRY(low)   ((low) / 16)
#define KEY(low)      (((low) / 4) % 4)
#define STATE(low)    ((low) % 4)
#define LIVE(low)     (now < EXPIRY(low))
#define HOLDS(low, high) (KEY(low) == key && (high) == key)

byte low[PLACES], high[PLACES];
byte clock;
byte won, lost, other_end; /* by inserts of K */
byte running;

/* The compare-and-swap of 16 bytes: `done` says whether it did. */
inline exchange(at, expected_low, expected_high, desired_low, desired_high)
{
    d_step {
        done = (low[at] == expected_low && high[at] == expected_high);
        if
        :: done -> low[at] = desired_low; high[at] = desired_high
        :: else
        fi
    }
}

inline load(at)
{
#ifdef TORN /* two loads, of two moments */
    l = low[at];
    h = high[at]
#else
    d_step { l = low[at]; h = high[at] }
#endif
}

/* One answer for each insert that was not stopped for ever. */
inline answer(counter)
{
    d_step {
        if
        :: key == K -> counter++
        :: else
        fi;
        running--
    }
}

proctype insert(byte key; byte expiry)
{
    byte now, i, l, h, mine, own, was_low, was_high;
    bool done, found, held;

    d_step { now = clock; mine = LOW(key, expiry + SLACK, TENTATIVE) }
    if
    :: now >= expiry -> answer(other_end); goto end
    :: else
    fi;

look:
    i = 0; found = false; held = false;
    do
    :: i == PLACES -> break
    :: else ->
        load(i);
        if
        :: !LIVE(l) ->
            if /* any of the free ones: which one is no part of the argument */
            :: found -> skip
            :: own = i; was_low = l; was_high = h; found = true
            fi
        :: LIVE(l) && HOLDS(l, h) -> held = true; break
        :: LIVE(l) && !HOLDS(l, h) -> skip
        fi;
        i++
    od;
    if
    :: held -> answer(lost); goto end
    :: !held && !found -> answer(other_end); goto end
    :: else
    fi;

    exchange(own, was_low, was_high, mine, key);
    if
    :: !done -> goto look
    :: else
    fi;

#ifdef STOPS
    if /* stopped or killed, for ever: not counted in `running`, and nobody may depend on it */
    :: d_step { running--; other_end++ }; goto end
    :: skip
    fi;
#endif

#ifndef MUTANT_NO_SECOND_LOOK
    i = 0;
    do
    :: i == PLACES -> break
    :: i == own -> i++
    :: i < PLACES && i != own ->
        load(i);
        if
        :: !(LIVE(l) && HOLDS(l, h)) || STATE(l) == BEATEN -> i++
        :: LIVE(l) && HOLDS(l, h) && STATE(l) != BEATEN ->
            if
#ifdef MUTANT_ALL_YIELD
            :: true -> goto leave
#else
            :: STATE(l) == COMMITTED || i < own -> goto leave
            :: else ->
#ifdef MUTANT_FREES_THE_BEATEN
                exchange(i, l, h, EMPTY, 0);
#else
                exchange(i, l, h, LOW(key, EXPIRY(l), BEATEN), key);
#endif
                if
                :: done -> i++
                :: else -> skip
                fi
#endif
            fi
        fi
    od;
#endif

    exchange(own, mine, key, LOW(key, expiry + SLACK, COMMITTED), key);
    if
    :: !done -> goto leave
    :: else
    fi;
#ifdef MUTANT_NO_LAST_CLOCK
    answer(won);
#else
    if
    :: clock < expiry -> answer(won)
    :: clock >= expiry -> answer(other_end)
    fi;
#endif
    goto end;

leave:
    exchange(own, mine, key, EMPTY, 0);
    if
    :: done -> skip
    :: else -> exchange(own, LOW(key, expiry + SLACK, BEATEN), key, EMPTY, 0)
    fi;
#ifndef MUTANT_LATE_IS_A_REPLAY
    if
    :: done -> answer(lost)
    :: else -> /* reused: which nobody does before its time is over */
        assert(clock >= expiry);
        answer(other_end)
    fi;
#else
    answer(lost);
#endif
end:
    skip;
    /* What nobody reads any more must not make states different. */
    d_step { now = 0; i = 0; l = 0; h = 0; mine = 0; own = 0; was_low = 0; was_high = 0; done = 0;
             found = 0; held = 0 }
}

/* What an insert of another key does to the places of K: from a `now` of its own, an exchange of what
 * it found expired. */
proctype reuse()
{
    byte now, l, h, at;
    bool done;
    now = clock;
    do
    :: at < PLACES - 1 -> at++
    :: break
    od;
    load(at);
    if
    :: !LIVE(l) ->
        exchange(at, l, h, LOW(J, TIME_MAX + 1, COMMITTED), J);
        if
        :: done -> /* or it finds a twin of its own and goes */
            if
            :: exchange(at, LOW(J, TIME_MAX + 1, COMMITTED), J, EMPTY, 0)
            :: skip
            fi
        :: else
        fi
    :: else
    fi;
    d_step { running--; now = 0; l = 0; h = 0; at = 0; done = 0 }
}

proctype tick()
{
    do
    :: clock < TIME_MAX -> clock++
    :: break
    od
}

init {
    byte n;
    atomic {
        n = 0;
        do /* free, or taken by what will expire */
        :: n == PLACES -> break
        :: n < PLACES -> n++
        :: n < PLACES -> low[n] = LOW(OLD, 1, COMMITTED); high[n] = OLD; n++
        od;
        running = TWINS + OTHERS;
        n = 0;
        do
        :: n == TWINS -> break
        :: n < TWINS -> run insert(K, FIRST_EXPIRY); n++
#if EXPIRIES == 2
        :: n < TWINS -> run insert(K, FIRST_EXPIRY + 1); n++
#endif
        od;
        n = 0;
        do
        :: n == OTHERS -> break
        :: else -> run reuse(); n++
        od;
#if TIME_MAX > 0
        run tick();
#endif
    }
    running == 0 ->
    assert(won <= 1);
    /* None that lost did so to nobody. */
    assert(!(lost > 0 && other_end == 0) || won == 1)
}
