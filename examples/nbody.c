/*
 * nbody.c - floating point: planets around a sun, argv[1] steps of a hundredth of a day (1,000 if absent).
 *
 * Prints the energy before and after, which a good integrator keeps, in units of 10^-9, so that it needs no printf of
 * fractions. The bodies are made up: a sun and seven planets on circles. Compile it for x87 or for SSE2 and compare.
 */
#include <stdio.h>
#include <stdlib.h>

#define BODIES 8
#define STEP 0.01

struct body { double x[3], v[3], mass; };

static struct body bodies[BODIES];

static double square_root(double value)
{
    double root = value > 1 ? value : 1;

    for (int i = 0; i < 40; i++) {
        double next = (root + value / root) / 2;

        if (next == root)
            break;
        root = next;
    }
    return root;
}

static void place(void)
{
    bodies[0].mass = 40;
    for (int i = 1; i < BODIES; i++) {
        struct body *body = &bodies[i];
        double speed;

        body->x[i % 2] = 0.5 + i * i * 0.4;
        body->x[2] = i * 0.01;
        body->mass = 0.003 / i;
        speed = square_root(bodies[0].mass / body->x[i % 2]);
        body->v[1 - i % 2] = i % 2 ? speed : -speed;
        for (int k = 0; k < 3; k++)
            bodies[0].v[k] -= body->v[k] * body->mass / bodies[0].mass;
    }
}

static double distance_squared(const struct body *a, const struct body *b, double d[3])
{
    for (int k = 0; k < 3; k++)
        d[k] = a->x[k] - b->x[k];
    return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
}

static void advance(void)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            struct body *a = &bodies[i], *b = &bodies[j];
            double d[3], squared = distance_squared(a, b, d), pull = STEP / (squared * square_root(squared));

            for (int k = 0; k < 3; k++) {
                a->v[k] -= d[k] * b->mass * pull;
                b->v[k] += d[k] * a->mass * pull;
            }
        }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            bodies[i].x[k] += STEP * bodies[i].v[k];
}

static long energy(void)
{
    double sum = 0, d[3];

    for (int i = 0; i < BODIES; i++) {
        const struct body *a = &bodies[i];

        sum += a->mass * (a->v[0] * a->v[0] + a->v[1] * a->v[1] + a->v[2] * a->v[2]) / 2;
        for (int j = i + 1; j < BODIES; j++)
            sum -= a->mass * bodies[j].mass / square_root(distance_squared(a, &bodies[j], d));
    }
    return (long)(sum * 1e9);
}

int main(int argc, char **argv)
{
    unsigned long steps = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;

    place();
    printf("%ld\n", energy());
    while (steps--)
        advance();
    printf("%ld\n", energy());
    return 0;
}
