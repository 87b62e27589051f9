/* Public keys as base64url texts, and the thumbprints RFC 7638 gives them. The RFCs' own examples
 * are named by their section; the others were made with `openssl genrsa`, `openssl ecparam -genkey`
 * and hashed with Python's hashlib, so that nothing here was computed by the code under test. */
#ifndef POPGATE_TESTS_JOSE_VECTORS_H
#define POPGATE_TESTS_JOSE_VECTORS_H

/* RFC 7638 section 3.1 */
#define RSA_2048_N                                                                                 \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc"       \
    "_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQ"       \
    "R0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bF"       \
    "TWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
#define RSA_2048_THUMBPRINT "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

#define RSA_1024_N                                                                                 \
    "rB1mJU75ritObQpQJly-DJkGTZySwh1lZhdwStICxoPpme2txXaoP_04ZqQxbhcODNneN-FpoEdETvlk2kGcpt"       \
    "6dam6fSj5db9On8w_woZiKC6XOgfDmhubZ3_ZE10xJnS_vqBDqF2-_ux7Z-2N-UDAfp8b73Z_0UOS-bAMbTik"
#define RSA_1024_THUMBPRINT "dzQOrusDPnNdpymi0EIJx2nYINkP44JYD2H99F4aUPs"

#define RSA_2047_N                                                                                 \
    "UnmCLlK5luIXRqVNMO4htW2-M02i3KY9EE_3bk5bqjKW8egTxHHZpVfDrPgTrse1GncwIQzIRcfp7snzkMkkYL"       \
    "QLluFaIW4pHwhkggyOOmo3DHH5CrGA5zJIyNXd-1BGe0LYidahfo7Z-zQ1pQgMdV3Yjvc-BSVv8Na6egeLMspy"       \
    "L3lUG1YzFxGa0FT8KjXSJJOvgtdjV0Xc2z8NXu6A-CQfaOjQBF5Zz39cR2JmKTG8gshB0FdUPkWwYbvPcyKHiF"       \
    "HjMuzYYS-1WfnK7e-pMj0WFOx3TBryJnBqjUqdhIIyHQd0hviBAdbe5To6j1lrCaz4LPdNhQ55K1hgDaMNvw"
#define RSA_2047_THUMBPRINT "SxP67e7XgDOoBjHAr8zOe7A90heBS_OGvLAzUm6Ndes"

#define RSA_3072_N                                                                                 \
    "pE-q2Kkt9f0hJaEdjfmIR9eTO6jCw-MoXasXyYtg1A5rO9gRoni4Rm3-G65cMelLLjDYQSr9zOmpcZP7_6ya3t"       \
    "pljDGEep_9YqIj7RKEG0Hb4Te-MezNrYxLkiBtv0rv5quJZYFzzkTzH1LqEJe1yG6en9zDL6mxHqUDig9EZeHa"       \
    "p_sVsAU5aczfj0YEmFD_b9xGCV9YjDay0aczKTEnVylyK2mmZLfyVH-Ck9upcRIhqYPbw2NiDb4761shL_aS1c"       \
    "ROXsnDQOnw1Zwfxe3bw2Ln8siUDdvwtsAZx38xabbBeVuC-r92RyqXOQ8Z3xkKPYqASO12yHuKdBkgO2RA4zTu"       \
    "K6groZAmAMVSIcINRmihTw_P9Y_wivaTV4mNbVAD5NSkwnkyNv-GbPjWqy93Yvmycuf2NDXgIibNjxp3LY0H5i"       \
    "9e4YDELfKtnzywRp28BEx3-0GhW5-kvGYGh3Mxvk3edumGTUTRyhv42EJ6WFWy4upgmUa-cNpEKv6Neu4x"
#define RSA_3072_THUMBPRINT "_Oo55y0rW-YqT-Tu0jqX_7DeLa2Vg2ESsPi4GI8phiU"

#define RSA_3072_E3_THUMBPRINT "AUqDTlmFmgc2aCgeazhCW4GwkFa1HloNTvCvtBZ5YNU" /* with e = 3 */

#define RSA_4096_N                                                                                 \
    "xhsNg7PhrnwAwf51GfouhwRmdJbOD-WASqgiOcxN1SowWnv4YRw3ohg1ym2E06e-CEX3xnwJ3RhXJQVxfvAIwN"       \
    "O-kQQ4QCFEVDUFnC43RiIk9kjc3s8K05t8G2JPbAsDyUEU2GMvMwImzwx7eYQNTDPSfGwiPHmeZ5v9EiQXiR4E"       \
    "bfJb6nhRql5Zh1uZk9xFLZ4w3xMdLcQbNj8dOSBWGJITlob_P2PNKJtEEJ8EP2BRHPgSM9jJKdyKwra85yhTSU"       \
    "qhR5B_8LsLFeEpm4USBP_jisP70lDpWl8bXIGJ-21uVG6vjBfuZe90ssUXXA9LAtqnfuZH_qyKBlHyyJtl_PHb"       \
    "MAmmg-pAcdzLpADPPaitVXRIfOMryzbv2MJgQpTtY4M2DjCtR_viNNKcoa9mKSrUFAmfLjbWacZO-UwtMbGHsI"       \
    "m4hhBGJyvU3DE-LVIhEwDonfZeyO_M5eKruRX4hIu8g1t2x0RLb2RosrfgEkaLGZvk7IqY0fPp9rfv3UZXGRQp"       \
    "mS_BN9OQ0zLG2C4l7zMw677BnBuEapavdBXMcYmSKV2R65cLDU-3yrt3Gvl37K8eQDL8Q4pk9ZxtCwAFL6FIa2"       \
    "R9talwmahqBrPP6AyQk1B-h-kGCfYRK7gaeux2cMuwjnV2U1p6b_BNku8WlhpOmwCUyXOBJwwqjvs3Hec"
#define RSA_4096_THUMBPRINT "XdxeEwwWjSWyJE7NMxGg0I_dy_VNpdjgYQaEd_NoODw"

#define RSA_4104_N                                                                                 \
    "tTtCHrPD3LZUcjTlmGQBOAvtOLCpkKHYfuPP8Z6OeM0VWt-RVd0B_Fn3ipkr_vs0Gx2LAnisQruphhna1l5kAh"       \
    "L2c5YB4dWQUYAwUNBco1CpAsi9sncKW8yDsn41-Cq19oJ1OBfdnC-9BH1OQANb-x6cv0M0bFd3LWMWFx3iy24j"       \
    "vEB-mP45XAwjJjqt-i7VwwQyYOJ_XkT0NF8JPQ36ZDTCqTJTmJo0U-ch8GanygUTKw2lOe9eS08nAfYAvETutX"       \
    "_bse71P8LrlOSnCRkNrioPJKa0YV3arE-4-vxs33f5nx6oc4a8GhFf5ni4l0Z4gqBlBOA8MHB8B0QFi2f_epj5"       \
    "T8KKCg9pzS415mNnc3wba5V292KdGl_PmPZBpdHfMnbm2uhXumJMcAXioKxg3fwAeKgCzW1i46RZ5jpNo7GUSm"       \
    "E8Ruuu_vEKnU6D8ALMOeCozRc4ebrREfTy_LvyY1RE0TbxMFTPMsmW9dRD15N61CiuPLXmT9bcSqGSGx8kM87Z"       \
    "N6GvD00oWeZFJ55_Am7nngwN6_yZLi8uHiAZN08SlXZ7LkDFQ8VnU6I-2DFjLqSG9Gx3DH7nF9SEB3KLetTm0J"       \
    "8OnUSywDEvgE0RD8hHa0RCE1Isy11psMeHaLwSRSVlK_4m8EOiRtmzKv1ROncP1EMuCk6iKNyX2WNXuTQN"
#define RSA_4104_THUMBPRINT "Gh40sR8B5XNXdm2rZhJo4l-_xO22lLBUQ_lmvDZYDIs"

/* RFC 9449 section 4.1; the jkt of section 6.1 */
#define P256_X          "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"
#define P256_Y          "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"
#define P256_THUMBPRINT "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

#define P384_X          "TK9YOhSigY__44tydGWInk4RSymx1NS5tKaNyzsaVL43MIGZLkUcJuuXF9-ncQ0q"
#define P384_Y          "3k02odAKoG40O9JW6ydVu7qNRBeGxV26bj85M3G_EzGd0eccfc1ANYpP_QL-EbMD"
#define P384_THUMBPRINT "xhwrPsGAC-gjYulaDTuOs81UWji3oC0dLfafdtnuRuM"

#define P521_X                                                                                     \
    "ATQLyqMEuIWhBXUVdWcTU63_vbRibvOqtd1Ltphv5c4PlaKRBhfklFlsPkx3_KrCBdgPRut-PoKZ2_D5IMJI5H"       \
    "O_"
#define P521_Y                                                                                     \
    "AfVudbPp5QK3SMs_ts2PsXP-qySubwGfcW4tWcKx7Gh-p5lxg07MORQ7uaGkM8L7nhfLppPAlERi_R_9VU_dwd"       \
    "Rm"
#define P521_THUMBPRINT "UwLALfKmcjstBGSjP0jrskub90LgwduahTidMeodbKo"

/* RFC 8037 appendices A.2 and A.3 */
#define ED25519_X          "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define ED25519_THUMBPRINT "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

#endif
