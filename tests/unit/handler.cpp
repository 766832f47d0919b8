// Handlers as values: kinds, what can be called, equality, getting the callable back.

#include <tocsin/tocsin.hpp>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "support.hpp"

namespace {

using tocsin::event;
using tocsin::handler;
using tocsin::handler_kind;
using tocsin::siginfo;
using tocsin::signum;

void call(const handler& h, const event& e) { h(e); }

event make_event(int sig) { return {sig, siginfo(), 3, tocsin::source_location::current()}; }

int last = 0;
void takes_int(int sig) { last = sig; }
void takes_int_too(int sig) { last = -sig; }
void takes_signum(signum sig) { last = sig + 1000; }
void takes_event(const event& e) { last = e.signo + 2000; }
void takes_nothing() { last = 3000; }
void takes_int_noexcept(int sig) noexcept { last = sig + 4000; }

TEST(handler, the_two_dispositions_that_are_not_functions)
{
    EXPECT_EQ(handler().type(), handler_kind::default_action);
    EXPECT_EQ(handler(tocsin::default_action).type(), handler_kind::default_action);
    EXPECT_EQ(handler(tocsin::ignore).type(), handler_kind::ignore);
    EXPECT_EQ(handler(SIG_DFL).type(), handler_kind::default_action);
    EXPECT_EQ(handler(SIG_IGN).type(), handler_kind::ignore);
    EXPECT_TRUE(handler(SIG_DFL) == tocsin::default_action);
    EXPECT_TRUE(handler(tocsin::ignore) == SIG_IGN);
    EXPECT_TRUE(handler(SIG_IGN) != tocsin::default_action);
    EXPECT_TRUE(tocsin::ignore == handler(SIG_IGN));
    EXPECT_FALSE(handler(SIG_DFL).is_callable());
    EXPECT_FALSE(handler(SIG_IGN).is_foreign());
    EXPECT_EQ(handler(SIG_IGN).target<void (*)(int)>(), nullptr);
    handler(SIG_IGN)(make_event(SIGINT)); // nothing happens
}

TEST(handler, sig_err_and_sig_hold_are_refused_by_name)
{
    for (void (*const bad)(int) : {SIG_ERR, SIG_HOLD}) {
        const std::string text = support::message_of<std::invalid_argument>([&] { (void)handler(bad); });
        EXPECT_NE(text.find("SIG_ERR and SIG_HOLD"), std::string::npos) << text;
    }
    static_assert(!std::is_constructible_v<handler, std::nullptr_t>);
}

TEST(handler, an_empty_function_is_refused)
{
    const std::string text =
        support::message_of<std::invalid_argument>([] { (void)handler(std::function<void(int)>()); });
    EXPECT_NE(text.find("empty"), std::string::npos) << text;
    EXPECT_THROW((void)handler(std::function<void()>()), std::invalid_argument);
    EXPECT_THROW((void)handler(static_cast<void (*)(const event&)>(nullptr)), std::invalid_argument);
    EXPECT_THROW((void)handler(static_cast<void (*)()>(nullptr)), std::invalid_argument);
    // The null pointer of this one type is SIG_DFL.
    EXPECT_TRUE(handler(static_cast<void (*)(int)>(nullptr)) == tocsin::default_action);
}

TEST(handler, ordinary_functions_of_every_form_are_called)
{
    const event e = make_event(SIGTERM);
    call(takes_int, e);
    EXPECT_EQ(last, SIGTERM);
    call(&takes_int, e);
    EXPECT_EQ(last, SIGTERM);
    call(takes_signum, e);
    EXPECT_EQ(last, SIGTERM + 1000);
    call(takes_event, e);
    EXPECT_EQ(last, SIGTERM + 2000);
    call(&takes_event, e);
    EXPECT_EQ(last, SIGTERM + 2000);
    call(takes_nothing, e);
    EXPECT_EQ(last, 3000);
    call(takes_int_noexcept, e);
    EXPECT_EQ(last, SIGTERM + 4000);
    call(std::function<void(int)>(takes_int), e);
    EXPECT_EQ(last, SIGTERM);
}

TEST(handler, lambdas_of_every_form_are_called)
{
    const event e = make_event(SIGUSR1);
    std::string got;
    handler([&] { got = "()"; })(e);
    EXPECT_EQ(got, "()");
    handler([&](int sig) { got = "int " + std::to_string(sig); })(e);
    EXPECT_EQ(got, "int 10");
    handler([&](signum sig) { got = sig.name(); })(e);
    EXPECT_EQ(got, "SIGUSR1");
    handler([&](const event& x) { got = std::to_string(x.count); })(e);
    EXPECT_EQ(got, "3");
    handler([&](event x) { got = x.signo.name() + " by value"; })(e);
    EXPECT_EQ(got, "SIGUSR1 by value");
    handler([n = 0](int) mutable { last = ++n; })(e);
    EXPECT_EQ(last, 1);
    handler([](int sig) { last = sig; })(e); // no capture: a lambda all the same, not a pointer
    EXPECT_EQ(last, SIGUSR1);
    handler([](int) { return last = 5; })(e); // a result is dropped
    EXPECT_EQ(last, 5);
}

TEST(handler, a_generic_lambda_gets_the_event)
{
    bool is_event = false;
    handler([&](const auto& x) { is_event = std::is_same_v<std::remove_cvref_t<decltype(x)>, event>; })(
        make_event(SIGINT));
    EXPECT_TRUE(is_event);
    is_event = false;
    handler([&](auto&&... x) { is_event = (std::is_same_v<std::remove_cvref_t<decltype(x)>, event> && ...); })(
        make_event(SIGINT));
    EXPECT_TRUE(is_event);
}

TEST(handler, the_first_form_that_fits_is_used)
{
    struct all_forms {
        std::string* got;
        void operator()() const { *got = "()"; }
        void operator()(signum) const { *got = "signum"; }
        void operator()(const event&) const { *got = "event"; }
    };
    struct two_forms {
        std::string* got;
        void operator()() const { *got = "()"; }
        void operator()(int) const { *got = "int"; }
    };
    std::string got;
    handler(all_forms{&got})(make_event(SIGINT));
    EXPECT_EQ(got, "event");
    handler(two_forms{&got})(make_event(SIGINT));
    EXPECT_EQ(got, "int");
}

TEST(handler, a_callable_may_be_move_only)
{
    auto owned = std::make_unique<int>(0);
    int& value = *owned;
    const handler h([p = std::move(owned)](int sig) { *p += sig; });
    const handler copy = h; // NOLINT(performance-unnecessary-copy-initialization): copies share the callable
    h(make_event(SIGINT));
    copy(make_event(SIGINT));
    EXPECT_EQ(value, 2 * SIGINT);
}

TEST(handler, what_is_not_callable_in_these_ways_is_no_handler)
{
    static_assert(!std::is_constructible_v<handler, void (*)(const char*)>);
    static_assert(!std::is_constructible_v<handler, void (*)(int, int)>);
    static_assert(!std::is_constructible_v<handler, int*>);
    static_assert(!std::is_constructible_v<handler, std::string>);
    static_assert(!std::is_constructible_v<handler, void (*)(event&)>);
    static_assert(std::is_nothrow_move_constructible_v<handler>);
    static_assert(std::is_copy_constructible_v<handler>);
}

TEST(handler, target_gives_the_callable_back)
{
    struct counter {
        int calls = 0;
        void operator()() { ++calls; }
    };
    const handler h{counter{}};
    h(make_event(SIGINT));
    h(make_event(SIGINT));
    ASSERT_NE(h.target<counter>(), nullptr);
    EXPECT_EQ(h.target<counter>()->calls, 2);
    EXPECT_EQ(h.target<int>(), nullptr);
    const handler f(takes_int);
    ASSERT_NE(f.target<void (*)(int)>(), nullptr);
    EXPECT_EQ(*f.target<void (*)(int)>(), &takes_int);
    EXPECT_EQ(f.target<void (*)()>(), nullptr);
    using wrapper = std::function<void(int)>;
    const handler w{wrapper(takes_int)};
    EXPECT_NE(w.target<wrapper>(), nullptr);
}

TEST(handler, target_lives_as_long_as_a_copy_does)
{
    auto token = std::make_shared<int>(1);
    handler copy;
    {
        const handler h([token] {});
        copy = h;
    }
    EXPECT_EQ(token.use_count(), 2);
    copy = tocsin::ignore;
    EXPECT_EQ(token.use_count(), 1);
}

TEST(handler, function_pointers_are_equal_by_value_and_objects_by_identity)
{
    EXPECT_TRUE(handler(takes_int) == handler(takes_int));
    EXPECT_TRUE(handler(takes_int) == takes_int);
    EXPECT_TRUE(handler(takes_int) != handler(takes_int_too));
    EXPECT_TRUE(handler(takes_event) == takes_event);
    EXPECT_TRUE(handler(takes_event) != handler(takes_nothing));
    const auto lambda = [] {};
    const handler h(lambda);
    EXPECT_TRUE(h == handler(h));
    EXPECT_TRUE(h != handler(lambda)); // another object
    EXPECT_TRUE(h != tocsin::default_action);
    EXPECT_TRUE(h != handler(SIG_IGN));
    EXPECT_TRUE(handler(tocsin::default_int_handler) == tocsin::default_int_handler);
}

TEST(handler, a_moved_from_one_can_be_assigned_to)
{
    handler h([] { last = 77; });
    const handler moved = std::move(h);
    h = tocsin::ignore; // NOLINT(bugprone-use-after-move)
    EXPECT_TRUE(h == tocsin::ignore);
    moved(make_event(SIGINT));
    EXPECT_EQ(last, 77);
}

TEST(handler, an_exception_of_the_callable_comes_out)
{
    const handler h([] { throw std::runtime_error("from inside"); });
    EXPECT_EQ(support::message_of<std::runtime_error>([&] { h(make_event(SIGINT)); }), "from inside");
}

TEST(default_int_handler, throws_keyboard_interrupt_with_its_cause)
{
    static_assert(!std::is_base_of_v<std::exception, tocsin::keyboard_interrupt>);
    bool as_exception = false;
    try {
        tocsin::default_int_handler(make_event(SIGINT));
    } catch (const std::exception&) {
        as_exception = true;
    } catch (const tocsin::keyboard_interrupt& e) {
        EXPECT_EQ(e.cause().signo, SIGINT);
        EXPECT_EQ(e.cause().count, 3U);
        EXPECT_STREQ(e.what(), "tocsin::keyboard_interrupt");
    }
    EXPECT_FALSE(as_exception);
}

} // namespace
