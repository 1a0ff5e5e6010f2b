use std::net::Ipv4Addr;

use super::*;
use crate::wire::{DecodeError, Reader, Writer};

fn encode(action: &Action) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut w = Writer::new(&mut bytes);
    encode_list(std::slice::from_ref(action), &mut w);
    w.finish().unwrap();
    bytes
}

fn decode(bytes: &[u8]) -> Result<Vec<Action>, DecodeError> {
    decode_list(&mut Reader::new("test", bytes), 0)
}

#[track_caller]
fn check(action: impl Into<Action>, text: &str, wire: &[&[u8]]) {
    let action = action.into();
    assert_eq!(action.to_string(), text);
    let bytes = encode(&action);
    assert_eq!(bytes, wire.concat(), "{text}");
    assert_eq!(decode(&bytes).unwrap(), [action], "{text}");
}

const NICIRA: &[u8] = &[0x00, 0x00, 0x23, 0x20];

#[test]
fn a_load_is_a_masked_set_field() {
    check(
        Action::load(Subfield::new(Field::Reg1, 4, 8), 0xabu8),
        "set_field:0xab0/0xff0->reg1",
        &[
            &[0x00, 0x19],             // type: SET_FIELD
            &[0x00, 0x10],             // length
            &[0x00, 0x01, 0x03, 0x08], // NXM_NX_REG1_W
            &[0x00, 0x00, 0x0a, 0xb0],
            &[0x00, 0x00, 0x0f, 0xf0],
        ],
    );
    assert_eq!(Action::load(Field::Reg1, 1u8), Action::set_field(Field::Reg1, 1u8));
}

#[test]
fn a_whole_field_is_set_without_a_mask() {
    check(
        Action::set_eth_src(MacAddr([2, 0, 0, 0, 0, 1])),
        "set_field:02:00:00:00:00:01->eth_src",
        &[
            &[0x00, 0x19, 0x00, 0x10],
            &[0x80, 0x00, 0x08, 0x06], // OXM_OF_ETH_SRC
            &[2, 0, 0, 0, 0, 1],
            &[0, 0],
        ],
    );
    check(
        Action::set_vlan_vid(5),
        "set_field:4101->vlan_vid",
        &[&[0x00, 0x19, 0x00, 0x10], &[0x80, 0x00, 0x0c, 0x02], &[0x10, 0x05], &[0; 6]],
    );
}

#[test]
fn a_copy_names_both_fields_and_offsets() {
    let (src, dst) = (Subfield::new(Field::Reg0, 16, 16), Subfield::new(Field::Reg5, 0, 16));
    check(
        Action::move_field(src, dst),
        "move:NXM_NX_REG0[16..31]->NXM_NX_REG5[0..15]",
        &[
            &[0x00, 0x1c, 0x00, 0x18],
            &[0x00, 0x10], // bits
            &[0x00, 0x10], // offset in the source
            &[0x00, 0x00], // offset in the destination
            &[0, 0],
            &[0x00, 0x01, 0x00, 0x04],
            &[0x00, 0x01, 0x0a, 0x04],
            &[0; 4],
        ],
    );
}

#[test]
fn connection_tracking_nests_translation_and_settings() {
    let ct = Ct::commit(7)
        .table(3)
        .nat(Nat::dst(Ipv4Addr::new(10, 0, 0, 1), 80))
        .exec(Action::load(Subfield::new(Field::CtMark, 0, 1), 1u8));
    let text = "ct(commit,table=3,zone=7,nat(dst=10.0.0.1:80),exec(set_field:0x1/0x1->ct_mark))";
    check(
        ct,
        text,
        &[
            &[0xff, 0xff, 0x00, 0x40],
            NICIRA,
            &[0x00, 0x23], // NXAST_CT
            &[0x00, 0x01], // flags: commit
            &[0; 4],       // zone is immediate
            &[0x00, 0x07],
            &[3],
            &[0; 3],
            &[0, 0], // no helper
            &[0xff, 0xff, 0x00, 0x18],
            NICIRA,
            &[0x00, 0x24], // NXAST_NAT
            &[0, 0],
            &[0x00, 0x02], // flags: destination
            &[0x00, 0x11], // IPv4 minimum, port minimum
            &[10, 0, 0, 1],
            &[0, 80],
            &[0, 0],
            &[0x00, 0x19, 0x00, 0x10],
            &[0x00, 0x01, 0xd7, 0x08],
            &[0, 0, 0, 1],
            &[0, 0, 0, 1],
        ],
    );
}

#[test]
fn dimensions_of_a_conjunction_count_from_one() {
    check(
        Action::Conjunction { id: 42, clause: 2, n_clauses: 3 },
        "conjunction(42,2/3)",
        &[&[0xff, 0xff, 0x00, 0x10], NICIRA, &[0x00, 0x22], &[1, 3], &[0, 0, 0, 42]],
    );
}

#[test]
fn notes_are_padded_as_the_switch_pads_them() {
    for length in 0..32 {
        let Action::Note(bytes) = Action::note(vec![0x61; length]) else { panic!() };
        assert!(bytes.len() >= length.max(6) && (bytes.len() - 6) % 8 == 0, "{length}");
        assert_eq!(decode(&encode(&Action::Note(bytes.clone()))).unwrap(), [Action::Note(bytes)]);
    }
    assert_eq!(Action::note(*b"hi").to_string(), "note:68.69.00.00.00.00");
}

#[test]
fn unknown_actions_are_carried_along() {
    let encap = [&[0xff, 0xff, 0x00, 0x10], NICIRA, &[0, 46], &[0; 6]].concat();
    let actions = decode(&encap).unwrap();
    assert_eq!(actions, [Action::Other(encap.clone())]);
    assert_eq!(encode(&actions[0]), encap);
    let stranger = [0xff, 0xff, 0x00, 0x08, 0, 0, 0, 1];
    assert_eq!(decode(&stranger).unwrap(), [Action::Other(stranger.to_vec())]);
}

#[test]
fn broken_actions_are_errors() {
    assert!(decode(&[0, 0, 0, 7, 0, 0, 0, 0]).is_err(), "shorter than its header");
    assert!(decode(&[0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]).is_err(), "not a multiple of eight");
    assert!(decode(&[0, 0, 0, 16, 0, 0, 0, 0]).is_err(), "longer than what is there");
    assert!(decode(&[0, 0, 0, 8, 0, 0, 0, 0]).is_err(), "an output without its max_len");
}

#[test]
fn nesting_ends_somewhere() {
    let mut action = Action::Exit;
    for _ in 0..40 {
        action = Action::Clone(vec![action]);
    }
    assert_eq!(decode(&encode(&action)), Err(DecodeError::Depth(16)));
}

#[test]
fn text_is_that_of_ovs_ofctl() {
    let reg = Subfield::new(Field::Reg0, 0, 16);
    for (action, text) in [
        (Action::output(5), "output:5"),
        (Action::output_in_port(), "IN_PORT"),
        (Action::controller(128), "CONTROLLER:128"),
        (Action::output_reg(reg), "output:NXM_NX_REG0[0..15]"),
        (Action::resubmit(5), "resubmit(,5)"),
        (Action::Resubmit { port: Some(2.into()), table: None, ct: false }, "resubmit:2"),
        (Action::Resubmit { port: None, table: Some(1), ct: true }, "resubmit(,1,ct)"),
        (Ct::default().into(), "ct()"),
        (Ct::track(reg, 4).nat(Nat::restore()).into(), "ct(table=4,zone=NXM_NX_REG0[0..15],nat)"),
        (
            Action::check_pkt_larger(1500, Subfield::new(Field::Reg0, 3, 1)),
            "check_pkt_larger(1500)->NXM_NX_REG0[3]",
        ),
        (Action::Clone(vec![]), "clone(drop)"),
        (
            Controller { id: 3, userdata: vec![1, 2], pause: true, ..Controller::default() }.into(),
            "controller(id=3,userdata=01.02,pause)",
        ),
        (
            Learn {
                table: 9,
                hard_timeout: 60,
                specs: vec![
                    LearnSpec::match_value(Field::EthType, 0x800u16),
                    LearnSpec::MatchField { dst: Field::EthDst.into(), src: Field::EthSrc.into() },
                    LearnSpec::load(reg, 7u8),
                    LearnSpec::Output { src: Field::NxInPort.into() },
                ],
                ..Learn::default()
            }
            .into(),
            "learn(table=9,hard_timeout=60,eth_type=0x800,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],\
             load:0x7->NXM_NX_REG0[0..15],output:NXM_OF_IN_PORT[])",
        ),
    ] {
        assert_eq!(action.to_string(), text);
        assert_eq!(decode(&encode(&action)).unwrap(), [action], "{text}");
    }
}
